//! What the filter index costs: memory per filter, and time per insert, match and remove.
//!
//! `cargo run --release -p noctule-topic --example index_cost mixed|device|exact|bomb [FILTERS]`; the
//! figures are kept in `docs/design/topic.md`. Memory is the growth of the resident set, so it includes
//! what the allocator needs, takes one process per measurement and works on Linux only.

#![allow(clippy::print_stdout, reason = "a program that prints figures")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures time and memory")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use noctule_topic::{FilterIndex, MatchCursor, TopicFilter};

/// Like the engine's: a home shard and a session number.
type Key = (u16, u64);

/// Like the engine's: QoS and options in one byte, and a subscription identifier.
type Value = (bool, u32);

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mix = arguments.next().unwrap_or_default();
    let filters = arguments.next().map_or(1_000_000, |text| text.parse().expect("a number of filters"));
    match mix.as_str() {
        "mixed" => measure("70 % exact, 25 % +, 5 % #", filters, mixed_filter, mixed_topic),
        "device" => measure("device/NUMBER/+", filters, device_filter, device_topic),
        "exact" => measure("without wildcards", filters, mixed_topic, mixed_topic),
        "bomb" => measure_bomb(),
        _ => println!("which one: mixed, device, exact or bomb? [and how many filters]"),
    }
}

fn measure(name: &str, filters: u32, filter: fn(u32) -> String, topic: fn(u32) -> String) {
    let resident_before = resident_bytes();
    let mut index = FilterIndex::<Key, Value>::new();
    let mut slowest = Duration::ZERO;
    let insert = time_each(filters, |number| {
        let filter = TopicFilter::parse(&filter(number)).expect("made to be valid");
        let begin = Instant::now();
        index.insert(&filter, (number as u16, u64::from(number)), (true, number));
        slowest = slowest.max(begin.elapsed());
    });
    let bytes = resident_bytes() - resident_before;

    let mut reported = 0_u64;
    let mut visited = 0;
    let make_topic = time_each(filters, |number| _ = black_box(topic(scattered(number, filters))));
    let match_all = time_each(filters, |number| {
        visited += index.for_each_match(&topic(scattered(number, filters)), |_, _| reported += 1);
    });
    let slices = time_each(filters, |number| {
        let mut cursor = MatchCursor::new(&topic(scattered(number, filters)));
        while !cursor.advance(&index, STEPS_MAX, |_, _| reported += 1) {}
    });
    let make_filter = time_each(filters, |number| _ = black_box(filter(scattered(number, filters))));
    let remove = time_each(filters, |number| {
        let number = scattered(number, filters);
        index.remove(&filter(number), (number as u16, u64::from(number)));
    });
    let bytes_left = resident_bytes().saturating_sub(resident_before);

    println!("{name}: {filters} filters");
    println!(
        "  {} B per filter, {} B each left after removing all",
        bytes / filters as usize,
        bytes_left / filters as usize
    );
    println!("  insert {insert:?} with making the filter, the slowest {slowest:?}");
    println!(
        "  match {:?}, by cursor {:?}",
        match_all.saturating_sub(make_topic),
        slices.saturating_sub(make_topic)
    );
    println!("  remove {:?}", remove.saturating_sub(make_filter));
    println!(
        "  {:.1} nodes visited and {:.2} subscriptions reported per topic",
        visited as f64 / f64::from(filters),
        reported as f64 / 2.0 / f64::from(filters),
    );
}

/// All mixes of `a` and `+` over 16 levels, the costliest set of filters of its size.
fn measure_bomb() {
    let mut index = FilterIndex::<u32, ()>::new();
    for mix in 0..65_536_u32 {
        let levels: Vec<&str> = (0..16).map(|level| if mix >> level & 1 == 1 { "+" } else { "a" }).collect();
        index.insert(&TopicFilter::parse(&levels.join("/")).expect("made to be valid"), mix, ());
    }
    let topic = ["a"; 16].join("/");
    let mut visited = 0;
    let whole = time_each(10, |_| visited = index.for_each_match(&topic, |_, ()| {}));
    println!("filter bomb: {visited} nodes in {whole:?}");

    // The machine does other things too: each slice counts with the fastest of ten matches.
    let mut slices = vec![Duration::MAX; (visited + index.len()).div_ceil(STEPS_MAX)];
    for _ in 0..10 {
        let mut cursor = MatchCursor::new(&topic);
        for fastest in &mut slices {
            let begin = Instant::now();
            cursor.advance(&index, STEPS_MAX, |_, ()| {});
            *fastest = begin.elapsed().min(*fastest);
        }
    }
    let slowest = slices.iter().max().expect("one slice at least");
    println!("{} slices of {STEPS_MAX} steps, the slowest {slowest:?}", slices.len());
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

fn mixed_topic(number: u32) -> String {
    format!("site{}/area{}/device{number}/state", number % 100, number % 5_000)
}

fn mixed_filter(number: u32) -> String {
    let (site, area) = (number % 100, number % 5_000);
    match number / 5_000 % 20 {
        0..14 => mixed_topic(number),
        14..19 => format!("site{site}/+/device{number}/state"),
        _ => format!("site{site}/area{area}/device{number}/#"),
    }
}

fn device_topic(number: u32) -> String {
    format!("device/{number}/state")
}

fn device_filter(number: u32) -> String {
    format!("device/{number}/+")
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    resident.expect("the second field is a number") * 4_096
}

const STEPS_MAX: usize = 256;
