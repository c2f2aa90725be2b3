//! What clients may do is asked at every PUBLISH, SUBSCRIBE, will and delivery.

use noctule_auth::{Action, Authority, Credentials, Decision, Identity};
use noctule_codec::{
    Packet, PacketId, Properties, Property, ProtocolVersion, QoS, ReasonCode, Subscribe, SubscribeFilters,
    SubscriptionOptions, Will,
};
use noctule_engine::Drop;
use noctule_session::{DropReason, Limits};
use noctule_testkit::sim::{
    ConnectOptions, EVERY_QOS, Sim, SimOptions, VERSIONS, ack, in_many_worlds, publish, texts,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ProtocolVersion::{V3_1, V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// Denies topics below `no/` to clients that are not called `admin`; which questions it denies can be set.
#[derive(Default)]
struct Rules {
    publish: AtomicBool,
    subscribe: AtomicBool,
    receive: AtomicBool,
    will: AtomicBool,
}

impl Authority for Rules {
    fn connect(&self, _: &Credentials<'_>) -> Decision {
        Decision::allow("everybody may connect", "test")
    }

    fn permit(&self, identity: &Identity, action: &Action<'_>) -> Decision {
        let (asks, topic) = match action {
            Action::Publish { topic, .. } => (&self.publish, topic),
            Action::Subscribe { filter, .. } => (&self.subscribe, filter),
            Action::Receive { topic } => (&self.receive, topic),
            Action::Will { topic, .. } => (&self.will, topic),
        };
        let is_denied = asks.load(Ordering::Relaxed) && topic.starts_with("no/");
        if is_denied && &*identity.client_id != "admin" {
            return Decision::deny("nothing below no/", "test:1");
        }
        Decision::allow("the rest is allowed", "test:2")
    }
}

fn sim_with(rules: &Arc<Rules>, limits: Limits) -> Sim {
    let authority: Arc<dyn Authority + Send + Sync> = Arc::<Rules>::clone(rules);
    Sim::with(SimOptions { authority, limits, ..SimOptions::default() })
}

fn denying(question: impl Fn(&Rules) -> &AtomicBool) -> Arc<Rules> {
    let rules = Arc::new(Rules::default());
    question(&rules).store(true, Ordering::Relaxed);
    rules
}

fn denied(sim: &Sim) -> Vec<(&str, &str)> {
    let is_denied = |drop: &&Drop| drop.reason == DropReason::NotAuthorized;
    sim.drops.iter().filter(is_denied).map(|drop| (&*drop.client_id, &*drop.topic)).collect()
}

#[test]
fn a_publication_that_is_not_allowed_is_refused_with_0x87_and_neither_routed_nor_retained() {
    let rules = denying(|rules| &rules.publish);
    let mut sim = sim_with(&rules, Limits::default());
    let admin = sim.connect(V5, "admin");
    sim.subscribe(admin, "#", ExactlyOnce);
    let client = sim.connect(V5, "client");
    for qos in EVERY_QOS {
        let expected = if qos == AtMostOnce { ReasonCode::Success } else { ReasonCode::NotAuthorized };
        assert_eq!(sim.publish(client, "no/a", "x", qos), expected);
        assert_eq!(sim.retain(client, "no/a", "x", qos), expected);
        sim.publish(client, "yes", "x", qos);
        assert_eq!(texts(&sim.deliveries(admin)), [("yes", "x")]);
    }
    assert_eq!(denied(&sim), [("client", "no/a"); 6]);
    assert!(sim.directory().retained.read(noctule_topic::retained::RetainedTree::is_empty));
    assert!(!sim.is_closed(client));
}

#[test]
fn an_error_pubrec_says_why_and_is_the_end_of_the_exchange() {
    let rules = denying(|rules| &rules.publish);
    let mut sim = sim_with(&rules, Limits::default());
    let client = sim.connect(V5, "client");
    sim.send(client, &Packet::Publish(publish("no/a", b"x", ExactlyOnce, 5)));
    let Packet::PubRec(answer) = sim.expect(client) else { panic!("PUBREC is due") };
    assert_eq!(answer.properties.reason_string(), Some("nothing below no/ (test:1)"));
    sim.send(client, &Packet::PubRel(ack(5)));
    let Packet::PubComp(answer) = sim.expect(client) else { panic!("PUBCOMP is due") };
    assert_eq!(answer.reason_code, ReasonCode::PacketIdentifierNotFound);
}

#[test]
fn mqtt311_3_3_5_2_a_3_x_client_gets_the_normal_acknowledgement_or_is_closed() {
    for version in [V3_1, V3_1_1] {
        for disconnect_refused_v3 in [false, true] {
            for (qos, id) in [(AtMostOnce, 0), (AtLeastOnce, 1), (ExactlyOnce, 2)] {
                let rules = denying(|rules| &rules.publish);
                let mut sim = sim_with(&rules, Limits { disconnect_refused_v3, ..Limits::default() });
                let admin = sim.connect(V5, "admin");
                sim.subscribe(admin, "#", AtMostOnce);
                let client = sim.connect(version, "client");
                sim.send(client, &Packet::Publish(publish("no/a", b"x", qos, id)));
                assert_eq!(sim.is_closed(client), disconnect_refused_v3);
                if !disconnect_refused_v3 && qos == ExactlyOnce {
                    assert_eq!(sim.expect(client), Packet::PubRec(ack(id)));
                    sim.send(client, &Packet::PubRel(ack(id)));
                    assert_eq!(sim.expect(client), Packet::PubComp(ack(id)));
                } else if !disconnect_refused_v3 && qos == AtLeastOnce {
                    assert_eq!(sim.expect(client), Packet::PubAck(ack(id)));
                }
                assert_eq!(sim.drain(client), []);
                assert_eq!(sim.drain(admin), []);
                assert_eq!(denied(&sim), [("client", "no/a")]);
            }
        }
    }
}

#[test]
fn mqtt5_3_9_3_2_and_mqtt311_3_9_3_2_a_filter_that_is_not_allowed_is_refused_and_the_others_granted() {
    let expected = [
        (V3_1, ReasonCode::GRANTED_QOS_0),
        (V3_1_1, ReasonCode::UnspecifiedError),
        (V5, ReasonCode::NotAuthorized),
    ];
    for (version, refused) in expected {
        let rules = denying(|rules| &rules.subscribe);
        let mut sim = sim_with(&rules, Limits::default());
        let client = sim.connect(version, "client");
        let wanted = [
            ("yes/#", AtLeastOnce),
            ("no/+", AtLeastOnce),
            ("$share/g/no/a", AtLeastOnce),
            ("also", AtMostOnce),
        ];
        let granted = sim.subscribe_all(client, &wanted);
        assert_eq!(granted, [ReasonCode::GrantedQoS1, refused, refused, ReasonCode::GRANTED_QOS_0]);
        let admin = sim.connect(V5, "admin");
        sim.publish(admin, "no/a", "x", AtLeastOnce);
        sim.publish(admin, "yes/a", "x", AtLeastOnce);
        assert_eq!(texts(&sim.deliveries(client)), [("yes/a", "x")]);
    }
}

/// By its place: in front of its text a mount point may stand.
#[test]
fn mqtt5_3_1_2_29_suback_says_why_the_first_filter_is_refused_to_who_wants_to_know() {
    let why = "filter 2: nothing below no/ (test:1)";
    for (asks, expected) in [(None, Some(why)), (Some(true), Some(why)), (Some(false), None)] {
        let rules = denying(|rules| &rules.subscribe);
        let mut sim = sim_with(&rules, Limits { subscriptions_max: 3, ..Limits::default() });
        let mut options = ConnectOptions { client_id: "client", ..ConnectOptions::default() };
        if let Some(asks) = asks {
            options = options.with(Property::RequestProblemInformation(asks));
        }
        let client = sim.connect_with(&options);
        let mut subscribe = |names: &[&str]| {
            let mut filters = SubscribeFilters::new();
            names.iter().for_each(|name| filters.push(name, SubscriptionOptions::default()));
            let packet_id = PacketId::new(1).expect("not zero");
            let properties = Properties::EMPTY;
            sim.send(client, &Packet::Subscribe(Subscribe { packet_id, properties, filters }));
            let Packet::SubAck(answer) = sim.expect(client) else { panic!("SUBACK is due") };
            answer.properties.reason_string().map(str::to_owned)
        };
        assert_eq!(subscribe(&["yes"]), None, "nothing is refused");
        let told = subscribe(&["yes", "no/a", "no/b"]);
        assert_eq!(told.as_deref(), expected, "{asks:?}");
        let told = subscribe(&["one", "more", "than", "may be"]).unwrap_or_default();
        assert_eq!(told.contains("limits.subscriptions_max"), expected.is_some(), "{told}");
    }
}

#[test]
fn a_delivery_that_is_not_allowed_is_dropped_and_recorded() {
    for version in VERSIONS {
        let rules = denying(|rules| &rules.receive);
        let mut sim = sim_with(&rules, Limits::default());
        let admin = sim.connect(V5, "admin");
        sim.retain(admin, "no/old", "x", AtLeastOnce);
        sim.retain(admin, "yes/old", "x", AtLeastOnce);
        let client = sim.connect(version, "client");
        sim.subscribe(client, "#", ExactlyOnce);
        assert_eq!(texts(&sim.deliveries(client)), [("yes/old", "x")], "retained ones as well");
        for qos in EVERY_QOS {
            sim.publish(admin, "no/a", "x", qos);
            sim.publish(admin, "yes/a", "x", qos);
            assert_eq!(texts(&sim.deliveries(client)), [("yes/a", "x")]);
        }
        assert_eq!(denied(&sim), [("client", "no/a"); 3]);
    }
}

#[test]
fn a_change_of_rights_takes_effect_on_the_next_delivery() {
    let rules = Arc::new(Rules::default());
    let mut sim = sim_with(&rules, Limits::default());
    let client = sim.connect(V5, "client");
    sim.subscribe(client, "#", AtMostOnce);
    let admin = sim.connect(V5, "admin");
    for allowed in [true, false, true] {
        rules.receive.store(!allowed, Ordering::Relaxed);
        sim.publish(admin, "no/a", "x", AtMostOnce);
        assert_eq!(sim.deliveries(client).len(), usize::from(allowed));
    }
}

#[test]
fn a_shared_delivery_that_is_not_allowed_is_dropped_and_recorded() {
    in_many_worlds(5, |options| {
        let rules = denying(|rules| &rules.receive);
        let authority: Arc<dyn Authority + Send + Sync> = rules;
        let mut sim = Sim::with(SimOptions { authority, ..options });
        let client = sim.connect(V5, "client");
        sim.subscribe(client, "$share/g/#", AtLeastOnce);
        let admin = sim.connect(V5, "admin");
        for qos in EVERY_QOS {
            sim.publish(admin, "no/a", "x", qos);
            sim.publish(admin, "yes/a", "x", qos);
        }
        assert_eq!(texts(&sim.deliveries(client)), [("yes/a", "x"); 3]);
        assert_eq!(denied(&sim), [("client", "no/a"); 3]);
    });
}

#[test]
fn a_will_that_is_not_allowed_when_it_is_due_is_not_published() {
    let rules = Arc::new(Rules::default());
    let mut sim = sim_with(&rules, Limits::default());
    let admin = sim.connect(V5, "admin");
    sim.subscribe(admin, "#", AtMostOnce);
    let will = Will {
        topic: "no/a",
        payload: b"gone",
        qos: AtMostOnce,
        retain: true,
        properties: noctule_codec::Properties::EMPTY,
    };
    let options = ConnectOptions { client_id: "client", ..ConnectOptions::default() }.with_will(will);
    let client = sim.connect_with(&options);
    rules.will.store(true, Ordering::Relaxed);
    sim.cut(client);
    assert_eq!(sim.drain(admin), []);
    assert!(sim.directory().retained.read(noctule_topic::retained::RetainedTree::is_empty));
    assert_eq!(denied(&sim), [("client", "no/a")]);
}
