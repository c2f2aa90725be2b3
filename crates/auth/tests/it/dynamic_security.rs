//! mosquitto's `dynamic-security.json`: what its roles say, in which order, and what is wrong in it.

use noctule_auth::admission::{Backend, Backends};
use noctule_auth::dynamic_security::{DynamicSecurity, parse_dynamic_security};
use noctule_auth::rules::RuleSet;
use noctule_auth::{Action, Credentials, Decision, Identity, Origin};
use noctule_codec::QoS;
use std::sync::Arc;

/// As mosquitto 2.0.11 has hashed "secret".
const PASSWORD: &str = r#""password":
    "67Zf29TiCnSBbdt6Q8/dNslcNvpXlmqUN0rk+2dEv8XuiaavWdQydBazBWTk0uAr+K8zhnQV1Pm+tV1JgAraRg==",
    "salt": "Za31LRPISfpQrB0l", "iterations": 101"#;

fn read(text: &str) -> DynamicSecurity {
    parse_dynamic_security("ds.json", text).unwrap_or_else(|errors| panic!("{errors:?} in {text}"))
}

fn rule_set(read: &DynamicSecurity) -> RuleSet {
    RuleSet::new(read.rules.clone(), Decision::deny("nothing says so", "ds.json")).expect("few rules")
}

/// The client of this name, with its groups.
fn client(read: &DynamicSecurity, name: &str) -> Identity {
    let groups = read.users.get(name).map(|user| user.groups.clone()).unwrap_or_default();
    let mut client = Identity::new("c", Some(name.into()));
    client.groups = groups;
    client
}

fn publish(topic: &str) -> Action<'_> {
    Action::Publish { topic, qos: QoS::AtLeastOnce, retain: true }
}

fn subscribe(filter: &str) -> Action<'_> {
    Action::Subscribe { filter, qos: QoS::AtMostOnce }
}

fn with_roles(roles: &str) -> DynamicSecurity {
    read(&format!(
        r#"{{"clients": [{{"username": "anna", "roles": [{{"rolename": "r"}}]}}],
            "roles": [{{"rolename": "r", "acls": [{roles}]}}]}}"#
    ))
}

#[test]
fn a_literal_subscription_is_that_filter_and_no_other() {
    let read = with_roles(
        r##"{"acltype": "subscribePattern", "topic": "#", "allow": true, "priority": 9},
           {"acltype": "subscribeLiteral", "topic": "a/#", "allow": false}"##,
    );
    let (rules, anna) = (rule_set(&read), client(&read, "anna"));
    for (filter, is_allowed) in [("a/#", false), ("a/b", true), ("a/+", true), ("#", true), ("$SYS/#", true)]
    {
        assert_eq!(rules.allows(&anna, &subscribe(filter)), is_allowed, "{filter}");
    }
    assert!(!rules.allows(&anna, &Action::Receive { topic: "a/b" }), "nothing says that it receives");
}

#[test]
fn the_highest_priority_decides_and_the_rule_and_its_line_are_named() {
    let read = with_roles(
        r##"{"acltype": "publishClientSend", "topic": "a/#", "allow": true, "priority": 1},
           {"acltype": "publishClientSend", "topic": "a/b", "allow": false, "priority": 2},
           {"acltype": "publishClientSend", "topic": "a/c", "allow": false}"##,
    );
    let (rules, anna) = (rule_set(&read), client(&read, "anna"));
    for (topic, is_allowed) in [("a/b", false), ("a/c", true), ("a", true), ("b", false)] {
        assert_eq!(rules.allows(&anna, &publish(topic)), is_allowed, "{topic}");
    }
    let decision = rules.permit(&anna, &publish("a/b"));
    assert_eq!(
        decision.told(),
        "deny publishClientSend a/b (role \"r\", priority 2) (ds.json:3)",
        "the entry stands there"
    );
    assert!(!rules.allows(&client(&read, "berta"), &publish("a")), "who is no client has no rights");
    assert!(!rules.allows(&Identity::new("c", None), &publish("a")), "and neither has who has no name");
}

#[test]
fn a_client_that_is_disabled_or_has_another_client_id_stays_out() {
    let read = read(&format!(
        r#"{{"clients": [
            {{"username": "anna", {PASSWORD}}},
            {{"username": "off", "disabled": true, {PASSWORD}}},
            {{"username": "one", "clientid": "one", {PASSWORD}}},
            {{"username": "none"}}]}}"#
    ));
    let backends = Backends::new(vec![Backend::Users(Arc::new(read.users))], "a remedy");
    let origin = Origin::default();
    for (user, client_id, is_let_in, cause) in [
        ("anna", "any", true, ""),
        ("off", "any", false, "user \"off\" (ds.json:5) is disabled"),
        ("one", "one", true, ""),
        ("one", "any", false, "user \"one\" (ds.json:8) comes in with the client id \"one\" only"),
        ("none", "any", false, "user \"none\" (ds.json:11) has no password"),
    ] {
        let password = Some(&b"secret"[..]);
        let credentials =
            Credentials { client_id, user_name: Some(user), password, address: "", origin: &origin };
        let noctule_auth::admission::Verdict::NeedsWork(work) = backends.admit(&credentials, None) else {
            panic!("{user} is decided without work, and so sooner than others")
        };
        let admission = work.run();
        assert_eq!(
            (admission.decision.allowed, admission.identity.is_some()),
            (is_let_in, is_let_in),
            "{user}"
        );
        assert_eq!(&*admission.decision.cause, cause, "{user}");
        let identity = Identity::new(client_id, Some(user.into()));
        let stays = is_let_in || user == "none";
        assert_eq!(backends.keeps(&identity).allowed, stays, "{user} as {client_id} after a reload");
    }
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_is_missing_is_a_warning() {
    for (text, said) in [
        ("{", "ds.json:1:1: EOF while parsing an object"),
        (
            "{\n \"clients\": [\n  {\"username\": 1}]}",
            "ds.json:3:16: invalid type: integer `1`, expected a string",
        ),
        (
            "{\"clients\": [{\"username\": \"a\"},\n {\"username\": \"a\"}]}",
            "ds.json:2:2: \"a\" stands in line 1 already",
        ),
        (
            r##"{"roles": [{"rolename": "r", "acls": [
{"acltype": "subscribePattern", "topic": "a#"}]}]}"##,
            "ds.json:2:1: \"a#\": ",
        ),
        (
            "{\"roles\": [{\"rolename\": \"r\"},\n  {\"rolename\": \"r\"}]}",
            "ds.json:2:3: the role \"r\" is there twice",
        ),
        (
            "{\"clients\": [{\"username\": \"a\", \"password\": \"x\", \"salt\": \"y\", \"iterations\": 101}]}",
            "ds.json:1:14: the salt of the hashed password",
        ),
    ] {
        let errors = parse_dynamic_security("ds.json", text).expect_err(text);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].to_string().starts_with(said), "{} is not {said}", errors[0]);
    }
    let read = read(
        r#"{"anonymousGroup": "g", "clients": [{"username": "a", "roles": [{"rolename": "r"}]}],
            "roles": [{"rolename": "q", "acls": [{"acltype": "unsubscribeLiteral", "topic": "a"}]}]}"#,
    );
    let warnings: Vec<&str> = read.warnings.iter().map(|warning| &*warning.problem).collect();
    assert_eq!(
        warnings,
        [
            "unsubscribeLiteral of role \"q\": UNSUBSCRIBE is always granted here",
            "the role \"r\" is not there",
            "the anonymousGroup \"g\" is not there"
        ]
    );
}
