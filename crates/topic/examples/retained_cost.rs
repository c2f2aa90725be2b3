//! What the retained tree costs: memory per topic, and the time of changes and look-ups.
//!
//! `cargo run --release -p noctule-topic --example retained_cost [TOPICS]`; the figures are kept in
//! `docs/design/topic.md`. Memory is the growth of the resident set, so it works on Linux only.

#![allow(clippy::print_stdout, reason = "a program that prints figures")]
#![expect(clippy::disallowed_methods, reason = "it measures time and memory")]

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Duration;

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
    let mut cursor = RetainedCursor::new(&filter);
    cursor.advance(tree, usize::MAX, |_, _| ControlFlow::Continue(()));
    let visited = cursor.nodes_visited();
    let rounds = VISITS_TIMED / visited as u32 + 1;

    let mut found = 0;
    let whole = time_each(rounds, |_| found = look_up(tree, &filter, usize::MAX));
    let by_20 = time_each(rounds, |_| _ = look_up(tree, &filter, 20));
    let by_1 = time_each(rounds, |_| _ = look_up(tree, &filter, 1));
    println!("{filter}: {found} found, {visited} nodes visited");
    println!("  {whole:?} in one go, {by_20:?} with 20 topics per slice, {by_1:?} with one");
}

/// Looks everything up, at most `topics_max` topics and 256 visits at a time if these are bounded.
fn look_up(tree: &RetainedTree<u64>, filter: &TopicFilter, topics_max: usize) -> usize {
    let visits_max = if topics_max == usize::MAX { usize::MAX } else { 256 };
    let mut cursor = RetainedCursor::new(filter);
    let mut found = 0;
    let mut is_done = false;
    while !is_done {
        let mut left = topics_max;
        is_done = cursor.advance(tree, visits_max, |_, _| {
            found += 1;
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    found
}

/// Ten sensors per device.
fn topic(number: u32) -> String {
    format!("device/{}/sensor{}", number / 10, number % 10)
}

/// The mean processor time of one call.
fn time_each(calls: u32, mut call: impl FnMut(u32)) -> Duration {
    let begin = processor_time();
    (0..calls).for_each(&mut call);
    (processor_time() - begin) / calls
}

/// What this thread has had of a processor, so that other work on the machine counts less.
fn processor_time() -> Duration {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = schedule.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanoseconds.expect("the first field is a number"))
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

/// Enough for a clock that moves once in four milliseconds.
const VISITS_TIMED: u32 = 3_000_000;
