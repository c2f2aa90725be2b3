//! What a good broker's report says, and what the probe itself owes a broker.

use std::time::Duration;

use noctule_probe::{Error, Messages, Options, ProtocolVersion, QoS, Scenario, run};

use crate::fake::{FakeBroker, Fault};

#[test]
fn all_wirings_and_versions_are_clean() {
    let broker = FakeBroker::start(Fault::None);
    for (scenario, publishers, subscribers, topics) in [
        (Scenario::P2p, 5, 5, None),
        (Scenario::P2p, 2, 6, None),
        (Scenario::P2p, 6, 2, Some(3)),
        (Scenario::FanOut, 1, 9, None),
        (Scenario::FanIn, 9, 1, Some(20)),
    ] {
        for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
                let options = broker.options(scenario);
                let options = Options { publishers, subscribers, topics, version, qos, ..options };
                let report = run(&options).expect("the broker is there");
                assert!(report.is_clean, "{report}");
                let Messages { sent, expected, received, .. } = report.messages;
                assert!(sent > 0 && received == expected, "{report}");
                let phase = &report.phases[0];
                let latency = phase.latency_us.expect("payloads have room for a stamp");
                assert!(phase.messages > 0 && latency.p50 <= latency.max, "{report}");
                assert!(phase.messages_per_write >= Some(1.0), "{report}");
                assert!(report.to_string().ends_with("refused or disconnected"), "{report}");
            }
        }
    }
}

#[test]
fn an_open_loop_sends_what_was_asked_for() {
    let broker = FakeBroker::start(Fault::None);
    let options =
        Options { rate: Some(1_000), publishers: 3, subscribers: 3, ..broker.options(Scenario::P2p) };
    let report = run(&Options { duration: Duration::from_millis(500), ..options }).expect("the broker");
    assert!(report.is_clean, "{report}");
    let open_loop = report.phases[0].open_loop.expect("there is a rate");
    assert_eq!(open_loop.asked_per_second, 1_000);
    assert!(open_loop.sent_per_second > 500.0, "{report}");
    assert_eq!(report.setup.window, None);
}

#[test]
fn an_open_loop_that_asks_too_much_says_so() {
    let broker = FakeBroker::start(Fault::None);
    let options = Options { rate: Some(1_000_000_000), ..broker.options(Scenario::P2p) };
    let report = run(&options).expect("the broker is there");
    let open_loop = report.phases[0].open_loop.expect("there is a rate");
    assert!(!open_loop.is_kept && open_loop.behind > 0, "{report}");
    assert!(report.to_string().contains("COULD NOT KEEP 1000000000 per second"), "{report}");
    assert!(report.is_clean, "a rate that is not kept is no fault of the broker: {report}");
}

#[test]
fn small_payloads_say_what_they_have_room_for() {
    let broker = FakeBroker::start(Fault::None);
    for (payload_bytes, has_latency) in
        [(0, false), (7, false), (8, false), (15, false), (16, true), (90_000, true)]
    {
        let options = Options { payload_bytes, ..broker.options(Scenario::P2p) };
        let report = run(&options).expect("the broker is there");
        assert!(report.is_clean, "{report}");
        assert_eq!(report.phases[0].latency_us.is_some(), has_latency, "{payload_bytes}: {report}");
    }
}

#[test]
fn the_receive_maximum_of_the_broker_is_kept() {
    let broker = FakeBroker::start(Fault::ReceiveMaximum(2));
    let options = Options { window: 100, ..broker.options(Scenario::P2p) };
    let report = run(&options).expect("the broker is there");
    assert!(report.is_clean, "{report}");
    assert!(report.to_string().contains("takes 2 messages in flight, fewer than the window"), "{report}");
    assert_eq!(broker.in_flight_max(), 2);
}

#[test]
fn a_lower_qos_is_noted_and_no_fault() {
    let broker = FakeBroker::start(Fault::GrantLess);
    let report = run(&broker.options(Scenario::P2p)).expect("the broker is there");
    assert!(report.is_clean, "{report}");
    assert!(report.to_string().contains("granted QoS 0 where QoS 1 was asked for"), "{report}");
}

#[test]
fn connections_are_counted_and_weighed() {
    let broker = FakeBroker::start(Fault::None);
    let options = Options { connections: 70, ..broker.options(Scenario::Connections) };
    let options = Options { pid: Some(std::process::id()), ..options };
    let report = run(&options).expect("the broker is there");
    assert!(report.is_clean, "{report}");
    assert_eq!(report.connections, 70);
    let names: Vec<_> = report.phases.iter().map(|phase| (phase.name, phase.messages)).collect();
    assert_eq!(names, [("open", 70), ("hold", 70)]);
    assert!(report.memory_per_connection().is_some());
    assert!(report.phases.iter().all(|phase| phase.broker.is_some()), "{report}");
}

#[test]
fn clients_come_and_go_from_several_addresses() {
    let broker = FakeBroker::start(Fault::None);
    let sources = ["127.0.0.2", "127.0.0.3"].map(|address| address.parse().expect("an address"));
    let options = Options { window: 3, sources: sources.to_vec(), ..broker.options(Scenario::ConnectRate) };
    let report = run(&options).expect("the broker is there");
    assert!(report.is_clean, "{report}");
    assert!(report.phases[0].messages > 3 && report.phases[0].latency_us.is_some(), "{report}");
}

#[test]
fn a_connection_that_stays_open_after_disconnect_is_closed_by_the_probe() {
    let broker = FakeBroker::start(Fault::StayOpen);
    let options = Options { window: 3, warm_up: Duration::ZERO, ..broker.options(Scenario::ConnectRate) };
    let report = run(&options).expect("the broker is there");
    assert!(report.is_clean, "{report}");
    assert!(report.to_string().contains("left a connection open after DISCONNECT, 3 times"), "{report}");
}

#[test]
fn what_cannot_begin_says_what_to_do() {
    let broker = FakeBroker::start(Fault::None);
    let options = || broker.options(Scenario::P2p);
    let foreign = "203.0.113.7".parse().expect("an address");
    for (options, part) in [
        (Options { publishers: 0, ..options() }, "at least one publisher"),
        (Options { pid: Some(u32::MAX), ..options() }, "--pid"),
        (Options { sources: vec![foreign], ..options() }, "--source"),
        (Options { publishers: 10_000_000, ..options() }, "ulimit -n"),
        (Options { target: "mqtt://127.0.0.1:1".parse().expect("a target"), ..options() }, "--url"),
    ] {
        let error: Error = run(&options).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    }
}
