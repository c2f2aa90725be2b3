//! What a decision costs: nanoseconds for a delivery, a publication and a connection, by number of rules.
//!
//! `cargo run --release -p noctule-auth --example permit_cost`

#![allow(clippy::print_stdout, reason = "a program that prints figures")]
#![expect(clippy::disallowed_types, reason = "it measures time")]

use noctule_auth::rules::{self, RuleSet};
use noctule_auth::{Action, Decision, Identity};
use noctule_codec::QoS;
use std::hint::black_box;
use std::time::Instant;

/// 36 bytes, as in the other benchmarks.
const TOPIC: &str = "plant/line-7/machine-42/temperature1";

fn main() {
    println!("ns per decision                       rules   receive   publish   connect");
    for rules in [1, 10, 100, 1_000] {
        measure(
            "names, last one decides",
            rules,
            |n| format!("plant/line-7/machine-{n}/#"),
            "plant/line-7/#",
        );
        measure("user's own, last one decides", rules, |n| format!("home/%u/room-{n}/#"), "plant/+/+/#");
        measure("wildcards first", rules, |n| format!("+/line-7/+/sensor-{n}"), "#");
        measure("none decides", rules, |n| format!("area-{n}/#"), "nothing");
        measure("about other users", rules, |n| format!("home/%u/# user=other-{n}"), "plant/#");
    }
    println!("size of an identity: {} bytes, and two for each rule about it", size_of::<Identity>());
}

fn measure(name: &str, count: usize, filter: impl Fn(usize) -> String, last: &str) {
    let mut text: String = (1..count).map(|number| format!("deny all {}\n", filter(number + 100))).collect();
    text += &format!("allow all {last}\n");
    let rules = rules::parse("cost.rules", &text).expect("valid");
    let rules = RuleSet::new(rules, Decision::deny("none", "cost.rules")).expect("not too many");
    let mut identity = Identity::new("machine-42", Some("anna".into()));
    let connect = time(|| rules.prepare(black_box(&mut identity)));
    let topic = TOPIC;
    let receive = time(|| _ = black_box(rules.allows(&identity, black_box(&Action::Receive { topic }))));
    let publish = Action::Publish { topic, qos: QoS::AtLeastOnce, retain: false };
    let publish = time(|| _ = black_box(rules.allows(&identity, black_box(&publish))));
    println!("{name:36} {count:6} {receive:9.1} {publish:9.1} {connect:9.1}");
}

/// The best of several rounds, in nanoseconds.
fn time(mut work: impl FnMut()) -> f64 {
    let mut round = || {
        let begin = Instant::now();
        (0..ROUND).for_each(|_| work());
        begin.elapsed().as_nanos() as f64 / f64::from(ROUND)
    };
    (0..20).map(|_| round()).fold(f64::INFINITY, f64::min)
}

const ROUND: u32 = 2_000;
