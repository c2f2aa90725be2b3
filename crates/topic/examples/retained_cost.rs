//! What the retained tree costs: memory per topic, and the time of changes and look-ups.
//!
//! `cargo run --release -p noctule-topic --example retained_cost [TOPICS]`; the figures are kept in
//! `docs/design/topic.md`. Memory is the growth of the resident set, so it works on Linux only.

#![allow(clippy::print_stdout, reason = "a program that prints figures")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures time and memory")]

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use noctule_topic::{RetainedCursor, RetainedTree, TopicFilter};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let topics = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of topics"));
    let resident_before = resident_bytes();
    let mut tree = RetainedTree::new();
    let insert =
        time_each(topics, |number| _ = tree.insert(&topic(scattered(number, topics)), u64::from(number)));
    let bytes = resident_bytes() - resident_before;
    let make = time_each(topics, |number| _ = black_box(topic(scattered(number, topics))));
    let replace = time_each(topics, |number| _ = tree.insert(&topic(scattered(number, topics)), 0));
    let get = time_each(topics, |number| _ = black_box(tree.get(&topic(scattered(number, topics)))));
    println!("{topics} topics, {} B each with a value of 8 B", bytes / topics as usize);
    println!("insert {:?}, replace {:?}, get {:?}", insert - make, replace - make, get - make);

    for number in (0..topics).step_by(topics as usize / 10) {
        tree.insert(&format!("device/{number}/cmd"), 0);
    }
    for filter in
        ["#", "device/+/cmd", "device/+/sensor3", "device/777/#", "device/777/sensor7", "+/+/+/+", "+/+/x"]
    {
        measure(&tree, filter);
    }
}

fn measure(tree: &RetainedTree<u64>, filter: &str) {
    let filter = TopicFilter::parse(filter).expect("valid");
    let begin = Instant::now();
    let mut cursor = RetainedCursor::new(&filter);
    let mut reported = 0_u32;
    cursor.advance(tree, usize::MAX, |_, _| {
        reported += 1;
        ControlFlow::Continue(())
    });
    let whole = begin.elapsed();
    let visited = cursor.nodes_visited();
    let by_20 = in_slices(tree, &filter, 20);
    let by_1 = in_slices(tree, &filter, 1);
    let each = |time: Duration| time / reported.max(1);
    println!(
        "{filter}: {reported} found, {visited} visited, {whole:?} in one go; \
         per topic found {:?}, 20 at a time {:?}, one at a time {:?}",
        each(whole),
        each(by_20),
        each(by_1)
    );
}

fn in_slices(tree: &RetainedTree<u64>, filter: &TopicFilter, topics_max: usize) -> Duration {
    let begin = Instant::now();
    let mut cursor = RetainedCursor::new(filter);
    let mut is_done = false;
    while !is_done {
        let mut left = topics_max;
        is_done = cursor.advance(tree, 256, |_, _| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    begin.elapsed()
}

/// Ten sensors per device.
fn topic(number: u32) -> String {
    format!("device/{}/sensor{}", number / 10, number % 10)
}

/// The mean time of one call.
fn time_each(calls: u32, mut call: impl FnMut(u32)) -> Duration {
    let begin = Instant::now();
    (0..calls).for_each(&mut call);
    begin.elapsed() / calls
}

/// Visits all numbers below `count` in an order that caches cannot follow.
fn scattered(number: u32, count: u32) -> u32 {
    (u64::from(number) * 2_654_435_761 % u64::from(count)) as u32
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    resident.expect("the second field is a number") * 4_096
}
