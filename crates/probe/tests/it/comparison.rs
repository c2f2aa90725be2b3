//! Several brokers, round by round.

use noctule_probe::{Options, Rival, Scenario, compare};

use crate::fake::{FakeBroker, Fault};

fn rival(name: &str, broker: &FakeBroker) -> Rival {
    Rival {
        name: name.to_owned(),
        target: broker.url().parse().expect("a target"),
        pid: Some(std::process::id()),
    }
}

#[test]
fn medians_and_ratios_are_to_the_first_broker() {
    let (first, second) = (FakeBroker::start(Fault::None), FakeBroker::start(Fault::None));
    let rivals = [rival("first", &first), rival("second", &second)];
    let comparison = compare(&first.options(Scenario::P2p), &rivals, 2).expect("both are there");
    assert!(comparison.is_clean, "{comparison}");
    let json = serde_json::to_value(&comparison).expect("JSON");
    assert_eq!(json["rounds"], 2);
    for (index, name) in ["first", "second"].into_iter().enumerate() {
        let broker = &json["brokers"][index];
        assert_eq!(broker["name"], name);
        assert_eq!(broker["reports"].as_array().map(Vec::len), Some(2));
        let median = &broker["medians"][0];
        assert_eq!(median["phase"], "traffic");
        for figure in ["per_second", "cpu_us_per_message", "latency_p50_us", "latency_p99_us"] {
            assert!(median[figure]["value"].as_f64() > Some(0.0), "{figure}: {json}");
            let ratio = median[figure]["ratio"].as_f64().expect("both have the figure");
            assert!(index == 1 || ratio == 1.0, "{figure}: {json}");
        }
    }
    let text = comparison.to_string();
    assert!(text.contains("median of 2 rounds, ratios to first") && text.contains("second"), "{text}");
}

#[test]
fn a_round_that_is_not_clean_is_shown() {
    let (good, bad) = (FakeBroker::start(Fault::None), FakeBroker::start(Fault::Lose(3)));
    let rivals = [rival("good", &good), rival("bad", &bad)];
    let comparison = compare(&good.options(Scenario::P2p), &rivals, 1).expect("both are there");
    assert!(!comparison.is_clean);
    let text = comparison.to_string();
    assert!(text.contains("bad, round 1:") && text.contains("LOST          1 copies"), "{text}");
}

#[test]
fn a_rate_that_is_not_kept_is_said() {
    let broker = FakeBroker::start(Fault::None);
    let options = Options { rate: Some(1_000_000_000), ..broker.options(Scenario::P2p) };
    let text = compare(&options, &[rival("slow", &broker)], 1).expect("it is there").to_string();
    assert!(text.contains("slow COULD NOT KEEP the rate in 1 of 1 rounds"), "{text}");
}
