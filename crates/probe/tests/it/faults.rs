//! Each fault of a broker is in the report: in its fields, in the JSON and in the text.

use noctule_probe::{Happened, Messages, Options, QoS, Refused, Report, Scenario, run};

use crate::fake::{FakeBroker, Fault};

fn options(fault: Fault) -> (FakeBroker, Options) {
    let broker = FakeBroker::start(fault);
    let options = broker.options(Scenario::P2p);
    (broker, options)
}

/// Runs p2p with one publisher and one subscriber against a broker with this fault.
fn report(fault: Fault) -> Report {
    let (_broker, options) = options(fault);
    run(&options).expect("the broker is there")
}

/// The report says this in text and is not clean, and JSON has this value at this place.
fn assert_says(report: &Report, text: &str, pointer: &str, value: impl Into<serde_json::Value>) {
    let (shown, json) = (report.to_string(), serde_json::to_value(report).expect("JSON"));
    assert!(shown.contains(text), "{text:?} is missing in:\n{shown}");
    assert!(shown.contains("NOT CLEAN"), "{shown}");
    assert_eq!(json.pointer(pointer), Some(&value.into()), "{pointer} in {json}");
    assert_eq!(json["is_clean"], false);
}

/// Nothing is wrong with the messages but this.
fn assert_only(found: Messages, expected: Messages) {
    let (sent, owed, received, stalls) = (found.sent, found.expected, found.received, found.stalls);
    assert_eq!(found, Messages { sent, expected: owed, received, stalls, ..expected });
}

#[test]
fn a_lost_message() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let (_broker, options) = options(Fault::Lose(5));
        let report = run(&Options { qos, ..options }).expect("the broker is there");
        assert_only(report.messages, Messages { lost: 1, ..Messages::default() });
        assert_says(&report, "LOST          1 copies", "/messages/lost", 1);
    }
}

#[test]
fn a_lost_message_of_an_open_loop_and_of_payloads_without_a_stamp() {
    let (_broker, options) = options(Fault::Lose(5));
    let report = run(&Options { rate: Some(500), ..options }).expect("the broker is there");
    assert_says(&report, "LOST          1 copies", "/messages/lost", 1);

    let (_broker, options) = self::options(Fault::Lose(5));
    let report = run(&Options { payload_bytes: 3, ..options }).expect("the broker is there");
    assert_says(&report, "LOST          1 copies", "/messages/lost", 1);
}

#[test]
fn a_message_that_comes_twice() {
    for payload_bytes in [16, 8] {
        let (_broker, options) = options(Fault::Duplicate(5));
        let report = run(&Options { payload_bytes, ..options }).expect("the broker is there");
        assert_only(report.messages, Messages { duplicated: 1, ..Messages::default() });
        assert_says(&report, "DUPLICATED    1 copies", "/messages/duplicated", 1);
    }
}

#[test]
fn a_message_that_comes_after_the_next() {
    let report = report(Fault::Delay(5));
    assert_only(report.messages, Messages { out_of_order: 1, ..Messages::default() });
    assert_says(&report, "OUT OF ORDER  1 copies", "/messages/out_of_order", 1);
}

#[test]
fn a_message_whose_payload_was_changed_is_lost_and_a_stranger_came() {
    let report = report(Fault::Alter(5));
    assert_only(report.messages, Messages { lost: 1, stray: 1, ..Messages::default() });
    assert_says(&report, "STRAY         1 publications", "/messages/stray", 1);
}

#[test]
fn a_message_that_is_never_acknowledged() {
    let report = report(Fault::Ignore(5));
    assert_only(report.messages, Messages { unanswered: 1, ..Messages::default() });
    assert_says(&report, "UNANSWERED    1 messages", "/messages/unanswered", 1);
}

#[test]
fn a_refused_message_is_not_lost() {
    let report = report(Fault::RefusePublish(5));
    assert_only(report.messages, Messages::default());
    let refused = Refused { packet: "PUBACK", reason_code: 0x97, name: "Quota exceeded", count: 1 };
    assert_eq!(report.refused, [refused]);
    assert_says(&report, "REFUSED       PUBACK 0x97 Quota exceeded, 1 times", "/refused/0/reason_code", 0x97);
}

#[test]
fn a_refused_connection_ends_the_run_before_it_is_measured() {
    let report = report(Fault::RefuseConnect);
    assert!(report.phases.is_empty());
    let refused = Refused { packet: "CONNACK", reason_code: 0x87, name: "Not authorized", count: 1 };
    assert_eq!(report.refused, [refused]);
    assert_says(&report, "REFUSED       CONNACK 0x87 Not authorized", "/refused/0/packet", "CONNACK");
    assert!(report.to_string().contains("nothing was measured"));
}

#[test]
fn a_refused_subscription_ends_the_run_before_it_is_measured() {
    let report = report(Fault::RefuseSubscribe);
    assert!(report.phases.is_empty());
    assert_says(&report, "REFUSED       SUBACK 0x8F Topic Filter invalid", "/refused/0/reason_code", 0x8F);
}

#[test]
fn connections_that_are_closed() {
    let report = report(Fault::Close(5));
    let closed = Happened { what: "closed by the broker without a word".into(), count: 2 };
    assert_eq!(report.disconnects, [closed]);
    assert_says(&report, "DISCONNECTED  closed by the broker", "/disconnects/0/count", 2);
}

#[test]
fn a_disconnect_with_its_reason() {
    let report = report(Fault::SayGoodbye(5));
    assert_says(
        &report,
        "DISCONNECTED  DISCONNECT 0x8B Server shutting down",
        "/disconnects/0/what",
        "DISCONNECT 0x8B Server shutting down",
    );
}

#[test]
fn what_is_not_mqtt() {
    let report = report(Fault::TalkNonsense(5));
    assert_eq!(report.violations.len(), 1);
    assert_says(&report, "VIOLATION     sent what is not MQTT", "/violations/0/count", 1);
}

#[test]
fn an_acknowledgement_of_nothing() {
    let report = report(Fault::AcknowledgeNothing(5));
    assert_only(report.messages, Messages::default());
    assert_says(&report, "VIOLATION     sent a PUBACK for a packet identifier", "/violations/0/count", 1);
}

#[test]
fn a_ping_that_is_not_answered() {
    let report = report(Fault::IgnorePing);
    assert_only(report.messages, Messages::default());
    assert_says(&report, "VIOLATION     left PINGREQs unanswered for 0.3 s", "/violations/0/count", 1);
}

#[test]
fn connections_that_fail_while_they_are_held() {
    let (_broker, options) = options(Fault::RefuseConnect);
    let report = run(&Options { scenario: Scenario::Connections, connections: 3, ..options });
    let report = report.expect("the broker is there");
    assert_eq!(report.connections, 0);
    assert_says(&report, "REFUSED       CONNACK 0x87", "/refused/0/count", 3);

    let (_broker, options) = self::options(Fault::RefuseConnect);
    let report = run(&Options { scenario: Scenario::ConnectRate, window: 2, ..options });
    assert_says(&report.expect("the broker is there"), "REFUSED       CONNACK 0x87", "/refused/0/count", 2);
}
