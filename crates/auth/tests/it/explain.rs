//! Why: what a person reads.

use noctule_auth::admission::{Backend, Backends};
use noctule_auth::password::{PasswordHash, Scheme};
use noctule_auth::rules::{self, RuleSet};
use noctule_auth::users::Users;
use noctule_auth::{Access, Action, Address, Credentials, Decision, Origin};
use noctule_codec::QoS;
use std::sync::Arc;

const RULES: &str = "\
deny subscribe plant/secret/#
deny publish plant/# qos=2
allow subscribe plant/#
allow publish plant/%u/# group=operators qos=0,1
allow publish open/# address=10.0.0.0/8
";

fn access() -> Access {
    let hash = PasswordHash::with_scheme(Scheme::Sha512, b"secret", &[1; 12]).expect("valid");
    let users = Users::parse("users", &format!("# people\nanna:{hash}:operators\n")).expect("valid");
    let list = vec![Backend::Users(Arc::new(users)), Backend::Anonymous(Access::anonymous_on_this_machine())];
    let rules = rules::parse("access.rules", RULES).expect("valid");
    let rules = RuleSet::new(rules, Decision::deny("no rule allows it", "access.rules")).expect("few");
    Access::new(Backends::new(list, "`noctule passwd users NAME`"), rules, 1)
}

fn explain(user: Option<&str>, action: &Action<'_>) -> String {
    let access = access();
    let origin = Origin { address: Address::parse("192.168.0.9:1"), ..Origin::default() };
    let identity = access.identity("c1".into(), user.map(Into::into), origin);
    access.explain(&identity, action).to_string()
}

fn publish(topic: &str, qos: QoS) -> Action<'_> {
    Action::Publish { topic, qos, retain: false }
}

#[test]
fn a_subscription_names_its_rule_and_what_is_not_delivered() {
    let text = explain(Some("anna"), &Action::Subscribe { filter: "plant/+/#", qos: QoS::AtLeastOnce });
    assert_eq!(
        text,
        "question: may client \"c1\", user \"anna\" in operators, from 192.168.0.9 subscribe to \"plant/+/#\" \
         at QoS 1?\n\
         answer:   allowed\n\
         rule:     allow subscribe plant/#\n\
         source:   access.rules:3\n\
         note:     `deny subscribe plant/secret/#` (access.rules:1) is not delivered\n"
    );
    let text = explain(Some("anna"), &Action::Subscribe { filter: "plant/a/#", qos: QoS::AtLeastOnce });
    assert!(!text.contains("note:"), "{text}");
}

#[test]
fn what_no_rule_allows_comes_with_the_rules_that_nearly_do() {
    let text = explain(None, &publish("open/x", QoS::AtMostOnce));
    assert_eq!(
        text,
        "question: may client \"c1\", from 192.168.0.9 publish on \"open/x\" at QoS 0?\n\
         answer:   denied\n\
         rule:     no rule allows it\n\
         source:   access.rules\n\
         note:     `allow publish open/# address=10.0.0.0/8` (access.rules:5) is about other clients\n\
         remedy:   above it, the rule `allow publish open/x anonymous client=c1`\n"
    );
    let text = explain(Some("anna"), &Action::Subscribe { filter: "plant/#", qos: QoS::ExactlyOnce });
    assert!(text.contains("answer:   allowed"), "{text}");
    let text = explain(Some("anna"), &publish("plant/anna/x", QoS::ExactlyOnce));
    assert!(text.contains("rule:     deny publish plant/# qos=2\nsource:   access.rules:2\n"), "{text}");
}

#[test]
fn the_rule_it_proposes_is_one_that_allows() {
    for user in [None, Some("anna"), Some("with \"quotes\", and*")] {
        for topic in ["plant/x", "$SYS/a b", "a,b/\"c\"\\"] {
            let access = access();
            let identity = access.identity("c 1".into(), user.map(Into::into), Origin::default());
            let remedy = access.explain(&identity, &publish(topic, QoS::ExactlyOnce)).decision.remedy;
            let line = remedy.split('`').nth(1).expect("a rule between backquotes");
            let rules = rules::parse("r", line).unwrap_or_else(|errors| panic!("{line}: {errors:?}"));
            let rules = RuleSet::new(rules, Decision::default()).expect("one");
            assert!(rules.allows(&identity, &publish(topic, QoS::ExactlyOnce)), "{line}");
        }
    }
}

#[test]
fn a_connection_is_explained_without_its_password() {
    let connect = |address: &str, user_name, password: Option<&str>| {
        let origin = Origin { address: Address::parse(address), ..Origin::default() };
        let password = password.map(str::as_bytes);
        let credentials = Credentials { client_id: "c1", user_name, password, address, origin: &origin };
        access().explain_connect(&credentials).to_string()
    };
    assert_eq!(
        connect("10.0.0.1:5", Some("anna"), None),
        "question: may client \"c1\" connect from 10.0.0.1:5 as user \"anna\"?\n\
         answer:   allowed\n\
         rule:     allowed with the password of the user\n\
         source:   users:2\n"
    );
    let text = connect("10.0.0.1:5", Some("anna"), Some("wrong"));
    assert!(
        text.contains("answer:   denied") && text.contains("cause:    the password of user \"anna\""),
        "{text}"
    );
    assert!(connect("10.0.0.1:5", Some("anna"), Some("secret")).contains("answer:   allowed"));
    let text = connect("10.0.0.1:5", Some("nobody"), None);
    assert!(text.contains("cause:    user \"nobody\" is in none of the files of users"), "{text}");
    let text = connect("10.0.0.1:5", None, None);
    assert_eq!(
        text,
        "question: may client \"c1\" connect from 10.0.0.1:5 without user name?\n\
         answer:   denied\n\
         rule:     clients from this address need a user name and a password\n\
         source:   built in\n\
         cause:    it has no user name, comes from 10.0.0.1, and clients without one are let in from this machine\n\
         note:     users (users) does not know the client\n\
         note:     anonymous from this machine (built in) does not know the client\n\
         remedy:   `noctule passwd users NAME`\n"
    );
    assert!(connect("127.0.0.1:5", None, None).contains("answer:   allowed"));
}

/// A line of ours means nothing in a file of mosquitto's.
#[test]
fn rules_in_other_words_come_without_a_remedy_in_ours() {
    let acl = noctule_auth::mosquitto::parse_acl("acl", "topic read a/#\n").expect("an acl_file");
    let rules = RuleSet::new(acl.rules, Decision::deny("no line is about it", "acl")).expect("few");
    for (rules, has_remedy) in [(rules.clone().foreign(), false), (rules, true)] {
        let access = Access::new(Backends::default(), rules, 1);
        let identity = access.identity("c1".into(), None, Origin::default());
        let text = access.explain(&identity, &publish("a/b", QoS::AtMostOnce)).to_string();
        assert_eq!(text.contains("remedy:"), has_remedy, "{text}");
        assert!(text.contains("answer:   denied\nrule:     no line is about it\nsource:   acl\n"), "{text}");
    }
}
