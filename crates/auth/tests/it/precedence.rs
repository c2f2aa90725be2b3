//! Which rule decides: random rules, clients and questions against a model that knows topics only one by one.

use crate::words::{all_topics, clients, filter_of};
use noctule_auth::admission::Backends;
use noctule_auth::rules::{self, RuleSet};
use noctule_auth::{Access, Action, Authority as _, Decision, Identity, Reach};
use noctule_codec::QoS;
use noctule_topic::matches;
use proptest::prelude::*;
use std::collections::HashMap;

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const EVERY_QOS: [QoS; 3] = [AtMostOnce, AtLeastOnce, ExactlyOnce];

/// A rule as the model reads it.
#[derive(Clone, Debug)]
struct Spec {
    allows: bool,
    actions: Vec<&'static str>,
    filter: String,
    qos: Vec<QoS>,
    condition: &'static str,
}

impl Spec {
    fn line(&self) -> String {
        let effect = if self.allows { "allow" } else { "deny" };
        let qos: Vec<String> = self.qos.iter().map(|qos| (*qos as u8).to_string()).collect();
        let qos = if qos.is_empty() { String::new() } else { format!(" qos={}", qos.join(",")) };
        format!("{effect} {} \"{}\" {}{qos}", self.actions.join(","), self.filter, self.condition)
    }

    /// The filter for this client, if its names can stand in it.
    fn filter_for(&self, client: &Identity) -> Option<String> {
        let mut levels = Vec::new();
        for (depth, level) in self.filter.split('/').enumerate() {
            let name = match level {
                "%u" => client.user_name.as_deref()?,
                "%c" => &client.client_id,
                level => {
                    levels.push(level);
                    continue;
                }
            };
            if name.is_empty() || name.contains(['/', '+', '#']) || (depth == 0 && name.starts_with('$')) {
                return None;
            }
            levels.push(name);
        }
        Some(levels.join("/"))
    }

    fn is_about_client(&self, client: &Identity) -> bool {
        let user = client.user_name.as_deref();
        let address = client.origin.address.to_string();
        match self.condition {
            "" => true,
            "anonymous" => user.is_none(),
            "user=*" => user.is_some(),
            "user=u,a" => user == Some("u") || user == Some("a"),
            "client=a*" => client.client_id.starts_with('a'),
            "client=b" => &*client.client_id == "b",
            "group=g" => client.groups.iter().any(|group| group == "g"),
            "user=u group=h" => user == Some("u") && client.groups.iter().any(|group| group == "h"),
            "address=10.0.0.0/8" => address.starts_with("10."),
            "address=loopback" => ["127.0.0.1", "::1", "a local socket"].contains(&&*address),
            other => panic!("the model does not know {other}"),
        }
    }

    fn is_about(&self, action: &Action<'_>) -> bool {
        let says = |word| self.actions.contains(&"all") || self.actions.contains(&word);
        let has = |qos| self.qos.is_empty() || self.qos.contains(&qos);
        match *action {
            Action::Publish { qos, retain, .. } => {
                (says("publish") || (retain && says("retain"))) && has(qos)
            }
            Action::Will { qos, retain, .. } => {
                (says("publish") || says("will") || (retain && says("retain"))) && has(qos)
            }
            Action::Subscribe { qos, .. } => says("subscribe") && has(qos),
            Action::Receive { .. } => {
                (says("subscribe") || says("receive")) && (self.allows || EVERY_QOS.into_iter().all(has))
            }
        }
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let actions = prop::sample::select(vec!["all", "publish", "subscribe", "retain", "will", "receive"]);
    let conditions = vec![
        "",
        "",
        "",
        "anonymous",
        "user=*",
        "user=u,a",
        "client=a*",
        "client=b",
        "group=g",
        "user=u group=h",
        "address=10.0.0.0/8",
        "address=loopback",
    ];
    let filter = filter_of(&["", "a", "b", "u", "$s", "%u", "%c"]);
    let qos = prop_oneof![3 => Just(Vec::new()), 1 => prop::sample::subsequence(EVERY_QOS.to_vec(), 1..=3)];
    (any::<bool>(), prop::collection::vec(actions, 1..=2), filter, qos, prop::sample::select(conditions))
        .prop_map(|(allows, actions, filter, qos, condition)| Spec {
            allows,
            actions,
            filter,
            qos,
            condition,
        })
}

/// What the model says about a question whose target is these topics: the first rule that has them all.
fn model(specs: &[Spec], client: &Identity, action: &Action<'_>, topics: &[&String]) -> Option<usize> {
    specs.iter().position(|spec| {
        let filter = spec.filter_for(client);
        let has_all = |filter: String| topics.iter().all(|topic| matches(&filter, topic));
        spec.is_about_client(client) && spec.is_about(action) && filter.is_some_and(has_all)
    })
}

fn rule_set(specs: &[Spec]) -> RuleSet {
    let text: String = specs.iter().map(|spec| spec.line() + "\n").collect();
    let rules = rules::parse("access.rules", &text).unwrap_or_else(|errors| panic!("{errors:?} in {text}"));
    RuleSet::new(rules, Decision::deny("no rule allows it", "access.rules")).expect("few rules")
}

/// The decision names the rule of the model.
fn check(rules: &RuleSet, specs: &[Spec], client: &Identity, action: &Action<'_>, topics: &[&String]) {
    let expected = model(specs, client, action, topics);
    let decision = rules.permit(client, action);
    let allowed = expected.is_some_and(|number| specs[number].allows);
    let source = expected.map_or("access.rules".to_owned(), |number| format!("access.rules:{}", number + 1));
    assert_eq!((decision.allowed, &*decision.source), (allowed, &*source), "{action:?} of {client:?}");
    assert_eq!(rules.allows(client, action), allowed);
    if let Action::Receive { topic } = action {
        assert!(allowed || !rules.reach(client).includes(topic), "{topic} of {client:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_subscription_is_granted_by_the_first_rule_that_has_all_its_topics(
        specs in prop::collection::vec(spec(), 0..8),
        filters in prop::collection::vec(filter_of(&["", "a", "b", "u", "$s"]), 6),
        qos in prop::sample::select(EVERY_QOS.to_vec()),
    ) {
        let (rules, topics) = (rule_set(&specs), all_topics());
        for filter in &filters {
            let topics: Vec<&String> = topics.iter().filter(|topic| matches(filter, topic)).collect();
            for mut client in clients() {
                rules.prepare(&mut client);
                check(&rules, &specs, &client, &Action::Subscribe { filter, qos }, &topics);
            }
        }
    }

    #[test]
    fn a_publication_and_a_delivery_are_decided_by_the_first_rule_that_has_the_topic(
        specs in prop::collection::vec(spec(), 0..8),
        begin in 0..200_usize,
        qos in prop::sample::select(EVERY_QOS.to_vec()),
        retain in any::<bool>(),
    ) {
        let rules = rule_set(&specs);
        for mut client in clients() {
            let fresh = client.clone();
            rules.prepare(&mut client);
            for name in all_topics().iter().skip(begin).step_by(200) {
                let topic = name.as_str();
                for action in [
                    Action::Publish { topic, qos, retain },
                    Action::Will { topic, qos, retain },
                    Action::Receive { topic },
                ] {
                    check(&rules, &specs, &client, &action, &[name]);
                    assert_eq!(rules.permit(&fresh, &action), rules.permit(&client, &action));
                }
            }
        }
    }

    #[test]
    fn clients_with_the_same_rights_may_publish_the_same(specs in prop::collection::vec(spec(), 0..4)) {
        let rules = rule_set(&specs);
        let mut known: HashMap<_, Vec<bool>> = HashMap::new();
        for mut client in clients() {
            rules.prepare(&mut client);
            let mut answers = Vec::new();
            for topic in all_topics().iter().step_by(13) {
                for (qos, retain) in [(AtMostOnce, false), (AtLeastOnce, true), (ExactlyOnce, false)] {
                    answers.push(rules.allows(&client, &Action::Publish { topic, qos, retain }));
                }
            }
            let earlier = known.entry(rules.rights(&client)).or_insert_with(|| answers.clone());
            assert_eq!(*earlier, answers);
        }
    }
}

fn rules_of(lines: &[&str]) -> RuleSet {
    let rules = rules::parse("r", &lines.join("\n")).expect("valid");
    RuleSet::new(rules, Decision::deny("none", "r")).expect("few rules")
}

fn subscribes(rules: &RuleSet, filter: &str) -> bool {
    rules.allows(&Identity::new("c", Some("u".into())), &Action::Subscribe { filter, qos: AtMostOnce })
}

fn receives(rules: &RuleSet, topic: &str) -> bool {
    rules.allows(&Identity::new("c", Some("u".into())), &Action::Receive { topic })
}

#[test]
fn the_spelling_of_a_filter_does_not_matter() {
    let rules = rules_of(&["allow subscribe #"]);
    for filter in ["#", "+/#", "+/+/#", "+", "a/+/b"] {
        assert!(subscribes(&rules, filter), "{filter}");
    }
    let rules = rules_of(&["allow subscribe +/#"]);
    assert!(subscribes(&rules, "#"));
    let rules = rules_of(&["allow subscribe +/+/#"]);
    for (filter, granted) in [("#", false), ("+/#", false), ("+/+/#", true), ("a/#", false), ("a/b/#", true)]
    {
        assert_eq!(subscribes(&rules, filter), granted, "{filter}");
    }
}

#[test]
fn dollar_topics_need_a_rule_of_their_own() {
    let rules = rules_of(&["allow all #"]);
    assert!(!subscribes(&rules, "$SYS/#") && !receives(&rules, "$SYS/broker/uptime"));
    let rules = rules_of(&["allow all $SYS/#"]);
    assert!(subscribes(&rules, "$SYS/#") && receives(&rules, "$SYS/broker/uptime"));
    assert!(!subscribes(&rules, "#") && !subscribes(&rules, "+/broker/uptime"));
}

#[test]
fn a_part_that_is_denied_is_not_delivered_and_the_whole_is_refused() {
    let rules = rules_of(&["deny subscribe secret/#", "allow subscribe #"]);
    assert!(subscribes(&rules, "#") && receives(&rules, "open/a") && !receives(&rules, "secret/a"));
    for filter in ["secret/#", "secret/a", "secret/+", "secret"] {
        assert!(!subscribes(&rules, filter), "{filter}");
    }
    let rules = rules_of(&["deny receive secret/#", "allow subscribe #"]);
    assert!(subscribes(&rules, "secret/#") && !receives(&rules, "secret/a"));
}

#[test]
fn two_rules_together_do_not_grant_what_neither_covers() {
    let rules = rules_of(&["allow subscribe a/+", "allow subscribe a/+/#"]);
    assert!(subscribes(&rules, "a/+") && subscribes(&rules, "a/+/#") && !subscribes(&rules, "a/#"));
}

#[test]
fn the_order_of_rules_counts() {
    let exception_first = rules_of(&["allow subscribe a/b", "deny subscribe a/#"]);
    assert!(subscribes(&exception_first, "a/b") && receives(&exception_first, "a/b"));
    assert!(!subscribes(&exception_first, "a/+") && !receives(&exception_first, "a/c"));
    let exception_last = rules_of(&["deny subscribe a/#", "allow subscribe a/b"]);
    assert!(!subscribes(&exception_last, "a/b") && !receives(&exception_last, "a/b"));
}

#[test]
fn names_fill_whole_levels_or_none() {
    let rules = rules_of(&["allow all home/%u/#", "allow all %c/#"]);
    let may = |client_id: &str, user_name: &str, topic: &str| {
        let client = Identity::new(client_id, Some(user_name.into()));
        rules.allows(&client, &Action::Publish { topic, qos: AtMostOnce, retain: false })
    };
    assert!(may("c", "anna", "home/anna/x") && !may("c", "anna", "home/bert/x"));
    assert!(may("c", "$s", "home/$s/x"), "only the first level is special");
    for name in ["a/b", "+", "#", "a+", ""] {
        assert!(!may("c", name, &format!("home/{name}/x").replace(['+', '#'], "b")), "{name:?}");
        assert!(!may(name, "u", &format!("{name}/x").replace(['+', '#'], "b")), "{name:?}");
    }
    assert!(may("dev", "u", "dev/x") && !may("$SYS", "u", "$SYS/x"));
    assert!(!may("%u", "anna", "anna/x") && may("%u", "anna", "%u/x"), "a name is not filled again");
}

#[test]
fn thousands_of_rules_about_others_are_not_looked_at() {
    let text: String =
        (0..20_000).map(|number| format!("allow all own/{number}/# user=u{number}\n")).collect();
    let rules = rules::parse("r", &text).expect("valid");
    let rules = RuleSet::new(rules, Decision::deny("none", "r")).expect("not too many");
    let client = Identity::new("c", Some("u17".into()));
    let publish = |topic| Action::Publish { topic, qos: AtMostOnce, retain: false };
    assert_eq!(rules.permit(&client, &publish("own/17/x")).source, "r:18");
    assert!(!rules.allows(&client, &publish("own/18/x")));
}

#[test]
fn there_are_not_more_rules_than_numbers_for_them() {
    let rule = rules::parse("r", "allow all #").expect("valid").remove(0);
    let set = |rules: usize| RuleSet::new(vec![rule.clone(); rules], Decision::default()).map(|_| ());
    assert_eq!(set(rules::RULES_MAX), Ok(()));
    assert_eq!(set(rules::RULES_MAX + 1), Err(rules::TooManyRules { rules: rules::RULES_MAX + 1 }));
}

#[test]
fn what_was_prepared_for_other_rules_does_not_count() {
    let access = |line, generation| Access::new(Backends::default(), rules_of(&[line]), generation);
    let (before, after) = (access("allow all #", 1), access("deny all #", 2));
    let mut client = Identity::new("c", None);
    before.prepare(&mut client);
    let receive = Action::Receive { topic: "a" };
    assert!(before.allows(&client, &receive) && !after.allows(&client, &receive));
    assert_ne!((before.generation(), before.rights(&client)), (after.generation(), after.rights(&client)));
    after.prepare(&mut client);
    assert!(before.allows(&client, &receive) && !after.allows(&client, &receive));
}

#[test]
fn what_is_known_of_all_topics_is_what_every_topic_would_be_answered() {
    let cases = [
        ("allow all #", Reach::Ordinary),
        ("deny publish #\nallow subscribe #", Reach::Ordinary),
        ("deny subscribe # qos=1\nallow subscribe #", Reach::Ordinary),
        ("allow all a/#\nallow all #", Reach::Asked),
        ("deny receive a/secret\nallow all #", Reach::Asked),
        ("deny receive a/secret user=somebody\nallow all #", Reach::Ordinary),
        ("allow receive # user=somebody", Reach::Asked),
        ("allow publish #", Reach::Asked),
        ("", Reach::Asked),
    ];
    let client = Identity::new("c", Some("anna".into()));
    for (text, reach) in cases {
        let rules = rules::parse("rules", text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        let rules = RuleSet::new(rules, Decision::default()).expect("few rules");
        assert_eq!(rules.reach(&client), reach, "{text}");
        for topic in ["a", "a/secret", "b/c", "$SYS/a", "/"] {
            let allowed = rules.allows(&client, &Action::Receive { topic });
            assert!(allowed || !reach.includes(topic), "{text}: {topic}");
        }
    }
    assert_eq!(Access::no_rules().reach(&client), Reach::Everything);
    assert_eq!(Access::unconfigured_rules().reach(&client), Reach::Ordinary, "it comes from elsewhere");
}
