//! The file of rules: what each line means, and where a mistake is.

use noctule_auth::rules::{self, RuleSet};
use noctule_auth::{Action, Address, Certificate, Decision, Identity, Origin};
use noctule_codec::QoS;
use std::sync::Arc;

/// A client that fulfils every condition of the tests below.
fn client() -> Identity {
    let certificate = Certificate {
        common_name: Some("plc-7".into()),
        subject: Some("CN=plc-7,O=plant".into()),
        alternative_names: ["plc-7.plant".into(), "urn:plc:7".into()].into(),
        fingerprint: "ab".repeat(32).into(),
    };
    let mut client = Identity::new("sensor-7", Some("anna".into()));
    client.groups = ["operators", "night shift"].into_iter().collect();
    client.origin = Origin {
        address: Address::parse("10.1.2.3:5000"),
        listener: "lan".into(),
        certificate: Some(Arc::new(certificate)),
    };
    client
}

fn is_about(client: &Identity, conditions: &str) -> bool {
    let rules = rules::parse("r", &format!("allow publish t {conditions}"))
        .unwrap_or_else(|errors| panic!("{conditions}: {errors:?}"));
    let rules = RuleSet::new(rules, Decision::default()).expect("one rule");
    rules.allows(client, &Action::Publish { topic: "t", qos: QoS::AtLeastOnce, retain: false })
}

#[test]
fn every_condition_counts() {
    let fingerprint = "AB:".repeat(31) + "AB";
    let cases = [
        ("", true),
        ("user=anna", true),
        ("user=bert", false),
        ("user=bert,anna", true),
        ("user=an*", true),
        ("user=*", true),
        ("user=\"an*\"", false),
        ("user=\"ann\"*", true),
        ("anonymous", false),
        ("group=operators", true),
        ("group=\"night shift\"", true),
        ("group=day", false),
        ("client=sensor-*", true),
        ("client=sensor-8", false),
        ("cn=plc-7", true),
        ("cn=plc-8", false),
        ("san=urn:plc:7", true),
        ("san=urn:plc:8", false),
        (&format!("fingerprint={fingerprint}"), true),
        (&format!("fingerprint={}", "ac".repeat(32)), false),
        ("address=10.0.0.0/8", true),
        ("address=192.168.0.0/16,10.1.2.3", true),
        ("address=loopback", false),
        ("listener=lan", true),
        ("listener=wan", false),
        ("qos=1", true),
        ("qos=0,2", false),
        ("user=anna group=operators client=sensor-7 cn=plc-7 address=10.1.2.3 listener=lan qos=0,1", true),
        ("user=anna group=day", false),
        ("user=bert group=operators", false),
    ];
    for (conditions, expected) in cases {
        assert_eq!(is_about(&client(), conditions), expected, "{conditions}");
    }
}

#[test]
fn a_client_of_which_nothing_is_known_fulfils_no_condition() {
    let nobody = Identity::new("c", None);
    for condition in ["user=*", "group=*", "cn=*", "san=*", "address=0.0.0.0/0", "address=::/0"] {
        assert!(!is_about(&nobody, condition), "{condition}");
    }
    assert!(is_about(&nobody, "anonymous") && is_about(&nobody, "client=c"));
}

#[test]
fn words_with_spaces_and_quotes_stand_between_quotes() {
    let rules = rules::parse("r", r#"allow publish "a b/\"c\"\\/#" user="x, \"y\"","z""#).expect("valid");
    let rules = RuleSet::new(rules, Decision::default()).expect("one rule");
    for user in ["x, \"y\"", "z"] {
        let client = Identity::new("c", Some(user.into()));
        let publish = |topic| Action::Publish { topic, qos: QoS::AtMostOnce, retain: false };
        assert!(rules.allows(&client, &publish("a b/\"c\"\\/d")), "{user}");
        assert!(!rules.allows(&client, &publish("a b/c/d")));
    }
}

#[test]
fn a_decision_names_its_line_as_it_was_written() {
    let text = "# comment\n\n  deny   publish\tno/#  user=anna \r\nallow all #\n";
    let rules = rules::parse("conf/access.rules", text).expect("valid");
    let rules = RuleSet::new(rules, Decision::deny("no rule allows it", "conf/access.rules")).expect("two");
    let decide =
        |topic| rules.permit(&client(), &Action::Publish { topic, qos: QoS::AtMostOnce, retain: false });
    let decision = decide("no/a");
    let expected = (false, "deny publish no/# user=anna", "conf/access.rules:3");
    assert_eq!((decision.allowed, &*decision.rule, &*decision.source), expected);
    let decision = decide("$no");
    let expected = (false, "no rule allows it", "conf/access.rules");
    assert_eq!((decision.allowed, &*decision.rule, &*decision.source), expected);
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let cases = [
        ("permit all #", 1, "\"permit\" is not a rule"),
        ("allow", 6, "what is allowed or denied is missing"),
        ("allow all", 10, "the topic filter is missing"),
        ("allow write #", 7, "\"write\" is no action"),
        ("allow publish,,will #", 15, "\"\" is no action"),
        ("allow all a/#/b", 11, "not the last one"),
        ("allow all dev-%u/x", 11, "must be the only text of its level"),
        ("allow all # colour=red", 13, "\"colour\" is no condition"),
        ("allow all # everybody", 13, "\"everybody\" is no condition"),
        ("allow all # user=", 18, "user has no value"),
        ("allow all # user=a*b", 18, "can only be the last character"),
        ("allow all # user=anna anonymous", 23, "has no user name"),
        ("allow all # anonymous user=anna", 28, "has no user name"),
        ("allow all # qos=0,3", 19, "\"3\" is no QoS"),
        ("allow all # address=10.0.0.1/8", 21, "write 10.0.0.0/8"),
        ("allow all # fingerprint=abcd", 25, "64 hexadecimal digits"),
        ("allow all \"a", 11, "not closed"),
        ("allow all \"\\n\"", 12, "behind `\\`"),
        ("allow all ä/+x", 11, "wildcard does not stand alone"),
        ("allow all ä colour=red", 13, "\"colour\""),
    ];
    for (line, column, problem) in cases {
        let errors = rules::parse("r", &format!("# first\n{line}\n")).expect_err(line);
        assert_eq!(errors.len(), 1, "{line}");
        assert_eq!((errors[0].line, errors[0].column), (2, column), "{}", errors[0]);
        assert!(errors[0].problem.contains(problem), "{}", errors[0]);
        assert!(errors[0].to_string().starts_with(&format!("r:2:{column}: ")));
    }
}

/// The rules of the manual, and the answers it gives.
#[test]
fn the_examples_of_the_manual() {
    let manual = include_str!("../../../../docs/security.md");
    let text = manual.split("```text\n").nth(1).and_then(|text| text.split("```").next()).expect("rules");
    let rules = rules::parse("access.rules", text).expect("valid");
    let rules = RuleSet::new(rules, Decision::default()).expect("few");
    let client = |client_id: &str, group: &str, address: &str| {
        let mut client = Identity::new(client_id, Some("t7".into()));
        client.groups = [group].into_iter().collect();
        client.origin.address = Address::parse(address);
        client
    };
    let publish = |topic, qos, retain| Action::Publish { topic, qos, retain };
    let subscribe = |filter| Action::Subscribe { filter, qos: QoS::AtLeastOnce };
    let (sensor, guest) = (client("c", "sensors", "10.0.0.9"), client("guest-3", "sensors", "10.0.0.9"));
    let (inside, outside) = (client("c", "operators", "10.1.2.3"), client("c", "operators", "192.168.1.5"));
    let cases = [
        (&sensor, publish("sensors/t7/temp", QoS::AtLeastOnce, false), true),
        (&sensor, publish("sensors/t7/temp", QoS::ExactlyOnce, false), false),
        (&sensor, publish("sensors/t8/temp", QoS::AtLeastOnce, false), false),
        (&guest, publish("sensors/t7/temp", QoS::AtLeastOnce, true), false),
        (&guest, publish("sensors/t7/temp", QoS::AtLeastOnce, false), true),
        (&inside, subscribe("plant/#"), true),
        (&inside, Action::Receive { topic: "plant/press/keys/1" }, false),
        (&inside, subscribe("plant/press/keys/#"), false),
        (&outside, subscribe("plant/#"), false),
        (&outside, subscribe("#"), false),
    ];
    for (client, action, expected) in cases {
        assert_eq!(rules.allows(client, &action), expected, "{action:?}");
    }
}

#[test]
fn every_mistake_is_told() {
    let errors = rules::parse("r", "x\nallow all #\ny\n").expect_err("two mistakes");
    assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [1, 3]);
}

/// Words that mean something, and some that break them.
const PARTS: &str = r#"(allow |deny |all |publish |"|\\|%u|%c|[a,=*#+/ \u{e4}\n]|user=|qos=|address=){0,30}"#;

proptest::proptest! {
    #[test]
    fn nothing_in_a_file_is_too_strange(text in PARTS) {
        if let Ok(rules) = rules::parse("r", &text) {
            let rules = RuleSet::new(rules, Decision::default()).expect("few");
            rules.allows(&client(), &Action::Receive { topic: "a/b" });
        }
    }
}
