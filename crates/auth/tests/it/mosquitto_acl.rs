//! mosquitto's `acl_file`: its manual as cases, and a model of its two steps.

use crate::words::{all_topics, clients, filter_of};
use noctule_auth::mosquitto::parse_acl;
use noctule_auth::rules::RuleSet;
use noctule_auth::{Action, Decision, Identity};
use noctule_codec::QoS;
use noctule_topic::matches;
use proptest::prelude::*;

fn rule_set(text: &str) -> RuleSet {
    let acl = parse_acl("acl", text).unwrap_or_else(|errors| panic!("{errors:?} in {text}"));
    RuleSet::new(acl.rules, Decision::deny("no line of the acl_file allows it", "acl")).expect("few rules")
}

fn publish(topic: &str) -> Action<'_> {
    Action::Publish { topic, qos: QoS::AtLeastOnce, retain: true }
}

/// The example of the manual, and what it says about it.
#[test]
fn the_example_of_the_manual() {
    let rules = rule_set(include_str!("fixtures/mosquitto.acl"));
    let anonymous = ("c1", None);
    let roger = ("c1", Some("roger"));
    let cases = [
        (anonymous, "$SYS/broker/uptime", true, false),
        (anonymous, "open/a/b", true, true),
        (anonymous, "open/secret", false, false),
        (anonymous, "foo/bar", false, false),
        (anonymous, "sensor/c1/data", false, false),
        (anonymous, "$SYS/broker/connection/c1/state", true, true),
        (anonymous, "$SYS/broker/connection/c2/state", true, false),
        (roger, "foo/bar", true, true),
        (roger, "foo/baz", false, false),
        (roger, "$SYS/broker/uptime", false, false),
        (roger, "open/a/b", false, false),
        (roger, "with space/x", true, false),
        (roger, "only/write", false, true),
        (roger, "sensor/roger/data", false, true),
        (roger, "sensor/roger/private", false, false),
        (roger, "sensor/anna/data", false, false),
        (roger, "dev-c1/x", true, true),
        (roger, "read", true, true),
        (("c1", Some("anna")), "sensor/anna/data", false, true),
        (("c1", Some("anna")), "foo/bar", false, false),
        (("a/b", None), "dev-a/b/x", true, true),
    ];
    for ((client_id, user_name), topic, reads, writes) in cases {
        let client = Identity::new(client_id, user_name.map(Into::into));
        let allowed =
            (rules.allows(&client, &Action::Receive { topic }), rules.allows(&client, &publish(topic)));
        assert_eq!(allowed, (reads, writes), "{client_id} {user_name:?} {topic}");
        let will = Action::Will { topic, qos: QoS::AtMostOnce, retain: false };
        assert_eq!(rules.allows(&client, &will), writes);
    }
}

#[test]
fn every_subscribe_is_granted() {
    let rules = rule_set("user anna\ntopic deny #\n");
    for filter in ["#", "$SYS/#", "a/+", "anything"] {
        for qos in [QoS::AtMostOnce, QoS::ExactlyOnce] {
            assert!(
                rules.allows(&Identity::new("c", Some("anna".into())), &Action::Subscribe { filter, qos })
            );
        }
    }
}

#[test]
fn a_name_with_a_wildcard_fits_no_pattern() {
    let rules = rule_set("topic read open\npattern readwrite %c/#\npattern readwrite all\n");
    for client_id in ["+", "#", "a+"] {
        let client = Identity::new(client_id, None);
        assert!(rules.allows(&client, &Action::Receive { topic: "open" }), "what `topic` lines say holds");
        assert!(!rules.allows(&client, &publish("all")) && !rules.allows(&client, &publish("b/x")));
        assert_eq!(rules.permit(&client, &publish("all")).rule, "a name with + or # fits no pattern");
    }
    let rules = rule_set("pattern readwrite %c/#\n");
    assert!(!rules.allows(&Identity::new("$SYS", None), &publish("$SYS/x")), "as mosquitto 2.1 does");
}

#[test]
fn a_decision_names_its_line() {
    let rules = rule_set("topic a\n\nuser anna\ntopic deny b\n  pattern  write   c/%c \n");
    let anna = Identity::new("c", Some("anna".into()));
    let cases = [
        (publish("b"), "topic deny b", "acl:4"),
        (publish("c/c"), "pattern  write   c/%c", "acl:5"),
        (publish("d"), "no line of the acl_file allows it", "acl"),
        (
            Action::Subscribe { filter: "b", qos: QoS::AtMostOnce },
            "an acl_file grants every SUBSCRIBE",
            "acl",
        ),
    ];
    for (action, rule, source) in cases {
        let decision = rules.permit(&anna, &action);
        assert_eq!((&*decision.rule, &*decision.source), (rule, source));
    }
}

/// Each of these was tried with mosquitto 2.0.11.
#[test]
fn lines_are_read_as_mosquitto_reads_them() {
    for fine in
        ["topic read", "topic read a b", "  topic read a", "   ", "# x", "user a b", "topic  write  a "]
    {
        assert!(parse_acl("acl", fine).is_ok(), "{fine:?}");
    }
    let wrong = [
        ("  # c", 3, "\"#\" is not understood"),
        ("topic\tread a", 1, "is not understood"),
        ("user", 5, "the user name is missing"),
        ("topic", 6, "the topic is missing"),
        ("topic foo bar", 7, "\"foo\" is no kind of access"),
        ("topic read a+b", 12, "wildcard does not stand alone"),
        ("frob x", 1, "\"frob\" is not understood"),
    ];
    for (line, column, problem) in wrong {
        let errors = parse_acl("acl", &format!("topic a\n{line}\n")).expect_err(line);
        assert_eq!((errors.len(), errors[0].line, errors[0].column), (1, 2, column), "{}", errors[0]);
        assert!(errors[0].problem.contains(problem), "{}", errors[0]);
    }
    let warnings = parse_acl("acl", "pattern read a\npattern read a/%c\n").expect("valid").warnings;
    assert_eq!((warnings.len(), warnings[0].line), (1, 1));
}

/// A line as the model reads it.
#[derive(Clone, Debug)]
enum AclLine {
    User(&'static str),
    Topic(&'static str, String),
    Pattern(&'static str, String),
}

fn acl_line() -> impl Strategy<Value = AclLine> {
    let access = || prop::sample::select(vec!["read", "write", "readwrite", "deny"]);
    let pattern = filter_of(&["", "a", "b", "$s", "%u", "%c", "x%c"]);
    prop_oneof![
        1 => prop::sample::select(vec!["u", "a", "+"]).prop_map(AclLine::User),
        3 => (access(), filter_of(&["", "a", "b", "u", "$s", "%u"])).prop_map(|(a, f)| AclLine::Topic(a, f)),
        2 => (access(), pattern).prop_map(|(a, f)| AclLine::Pattern(a, f)),
    ]
}

/// The two steps of mosquitto. `None`: no line of this step is about the topic.
fn step<'a>(lines: impl Iterator<Item = (&'a str, String)>, wanted: &str, topic: &str) -> Option<bool> {
    let about: Vec<&str> =
        lines.filter(|(_, filter)| matches(filter, topic)).map(|(access, _)| access).collect();
    if about.contains(&"deny") {
        return Some(false);
    }
    about.iter().any(|access| [wanted, "readwrite"].contains(access)).then_some(true)
}

fn model(lines: &[AclLine], client: &Identity, wanted: &str, topic: &str) -> bool {
    let user = client.user_name.as_deref();
    let mut block = None;
    let (mut own, mut patterns) = (Vec::new(), Vec::new());
    for line in lines {
        match line {
            AclLine::User(name) => block = Some(*name),
            AclLine::Topic(access, filter) if block == user => own.push((*access, filter.clone())),
            AclLine::Topic(..) => {}
            AclLine::Pattern(access, filter) => patterns.push((*access, filter)),
        }
    }
    if let Some(allowed) = step(own.into_iter(), wanted, topic) {
        return allowed;
    }
    let names = [user.unwrap_or_default(), &client.client_id];
    if names.iter().any(|name| name.contains(['+', '#'])) {
        return false;
    }
    let usable = patterns.into_iter().filter(|(_, filter)| user.is_some() || !filter.contains("%u"));
    // What mosquitto 2.1 does: a name never stands for a first level with `$`.
    let usable = usable.filter(|(_, filter)| !(filter.starts_with('%') && topic.starts_with('$')));
    let fill =
        |filter: &String| filter.replace("%c", &client.client_id).replace("%u", user.unwrap_or_default());
    step(usable.map(|(access, filter)| (access, fill(filter))), wanted, topic).unwrap_or(false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn first_the_lines_of_the_client_then_the_patterns_and_deny_before_the_others(
        lines in prop::collection::vec(acl_line(), 0..10),
        begin in 0..100_usize,
    ) {
        let text: String = lines.iter().map(|line| match line {
            AclLine::User(name) => format!("user {name}\n"),
            AclLine::Topic(access, filter) => format!("topic {access} {filter}\n"),
            AclLine::Pattern(access, filter) => format!("pattern {access} {filter}\n"),
        }).collect();
        let rules = rule_set(&text);
        for mut client in clients() {
            rules.prepare(&mut client);
            for topic in all_topics().iter().skip(begin).step_by(100) {
                let allowed = rules.allows(&client, &Action::Receive { topic });
                prop_assert_eq!(allowed, model(&lines, &client, "read", topic), "{} {:?} {}", topic, client, text);
                let allowed = rules.allows(&client, &publish(topic));
                prop_assert_eq!(allowed, model(&lines, &client, "write", topic), "{} {:?} {}", topic, client, text);
            }
        }
    }
}
