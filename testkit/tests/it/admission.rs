//! Who a client is, with the rules that the broker really has: CONNECT waits for the check of its password, and what
//! clients may do follows the rules of now.

use noctule_auth::admission::{Anonymous, AnonymousFrom, Backend, Backends, Work};
use noctule_auth::password::{PasswordHash, Scheme};
use noctule_auth::rules::{self, RuleSet};
use noctule_auth::users::Users;
use noctule_auth::{Access, Authority, Decision};
use noctule_codec::{Packet, ProtocolVersion, QoS, ReasonCode};
use noctule_engine::{CheckAnswer, Event, PasswordCheck};
use noctule_session::{DropReason, Durability, Limits};
use noctule_testkit::sim::{
    ConnectOptions, Crash, Sim, SimOptions, VERSIONS, publish, texts, will, will_after,
};
use std::sync::Arc;

use ProtocolVersion::V5;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

type Rules = Arc<dyn Authority + Send + Sync>;

/// These users, whose passwords are their names backwards; these rules; and anonymous clients from this machine.
fn access(users: &[&str], text: &str, generation: u64) -> Rules {
    let scheme = Scheme::Argon2id { version: 19, memory_kib: 8, passes: 1, lanes: 1 };
    let line = |user: &&str| {
        let password: String = user.chars().rev().collect();
        let hash =
            PasswordHash::with_scheme(scheme, password.as_bytes(), b"saltsalt").expect("within bounds");
        format!("{user}:{hash}:people\n")
    };
    let file: String = users.iter().map(line).collect();
    let users = Users::parse("users", &file).expect("a file of users");
    let from = AnonymousFrom::ThisMachine;
    let anonymous =
        Anonymous { from, listeners: Vec::new(), believes_names: true, source: "anonymous".into() };
    let backends =
        Backends::new(vec![Backend::Users(Arc::new(users)), Backend::Anonymous(anonymous)], "the remedy");
    let rules = rules::parse("rules", text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let rules = RuleSet::new(rules, Decision::deny("no rule is about it", "rules")).expect("few rules");
    Arc::new(Access::new(backends, rules, generation))
}

fn sim(users: &[&str], rules: &str) -> Sim {
    Sim::with(SimOptions { authority: access(users, rules, 1), ..SimOptions::default() })
}

fn as_user<'a>(
    version: ProtocolVersion,
    client_id: &'a str,
    user: &'a str,
    password: &'a str,
) -> ConnectOptions<'a> {
    let (user_name, password) = (Some(user), Some(password.as_bytes()));
    ConnectOptions { version, client_id, user_name, password, ..ConnectOptions::default() }
}

fn done(work: Work) -> CheckAnswer {
    CheckAnswer::Done(Box::new(work.run()))
}

/// Does what has to be done elsewhere.
fn answer_all(sim: &mut Sim) {
    for PasswordCheck { connection, work, .. } in std::mem::take(&mut sim.checks) {
        sim.answer_check(connection, done(work));
    }
}

/// Lets a client in whose password has to be checked.
#[track_caller]
fn come_in(sim: &mut Sim, options: &ConnectOptions<'_>) -> usize {
    let wire = sim.dial(options);
    answer_all(sim);
    let Packet::ConnAck(connack) = sim.expect(wire) else { panic!("CONNACK is due") };
    assert_eq!(connack.reason_code, ReasonCode::Success, "{:?}", sim.events);
    wire
}

/// What was dropped for lack of rights: whose it was, on which topic, by which rule.
fn forbidden(sim: &Sim) -> Vec<(&str, &str, &str)> {
    let drops = sim.drops.iter().filter(|drop| drop.reason == DropReason::NotAuthorized);
    drops.map(|drop| (&*drop.client_id, &*drop.topic, drop.rule.as_deref().unwrap_or_default())).collect()
}

fn causes(sim: &Sim) -> Vec<&str> {
    let causes = sim.events.iter().filter_map(|event| match event {
        Event::Refused { cause, .. } => Some(cause.as_str()),
        _ => None,
    });
    causes.collect()
}

#[test]
fn nothing_behind_a_held_connect_is_looked_at_and_a_refused_client_does_nothing() {
    for version in VERSIONS {
        let mut sim = sim(&["ab"], "allow all #");
        let watcher = sim.watch("t");
        let wire = sim.open();
        sim.queue(wire, &Packet::Connect(as_user(version, "c", "ab", "wrong").packet()));
        sim.queue(wire, &Packet::Publish(publish("t", b"early", AtMostOnce, 0)));
        sim.run();
        assert_eq!(sim.checks.iter().map(|check| &*check.user_name).collect::<Vec<_>>(), ["ab"]);
        assert_eq!((sim.receive(wire), sim.stats().sessions), (None, 1), "{version:?}");
        let other = sim.connect(V5, "other");
        sim.publish(other, "t", "meanwhile", AtMostOnce);
        assert_eq!(sim.payloads(watcher), ["meanwhile"], "others are served");
        answer_all(&mut sim);
        let Packet::ConnAck(connack) = sim.expect(wire) else { panic!("CONNACK is due") };
        assert_eq!(connack.reason_code, ReasonCode::BadUserNameOrPassword);
        assert_eq!((sim.receive(wire), sim.is_closed(wire)), (None, true));
        assert_eq!(sim.payloads(watcher), [""; 0]);
    }
}

#[test]
fn what_is_pipelined_behind_a_held_connect_follows_its_connack() {
    let mut sim = sim(&["ab"], "allow all #");
    let watcher = sim.watch("t");
    let wire = sim.open();
    sim.queue(wire, &Packet::Connect(as_user(V5, "c", "ab", "ba").packet()));
    sim.queue(wire, &Packet::Publish(publish("t", b"early", AtMostOnce, 0)));
    sim.queue(wire, &Packet::PingReq);
    sim.run();
    assert_eq!(sim.payloads(watcher), [""; 0]);
    answer_all(&mut sim);
    assert!(matches!(sim.expect(wire), Packet::ConnAck(connack) if !connack.reason_code.is_error()));
    assert_eq!(sim.expect(wire), Packet::PingResp);
    assert_eq!(sim.payloads(watcher), ["early"]);
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_told_the_same_and_logged_apart() {
    for (version, told) in
        VERSIONS.map(|version| (version, (version == V5).then_some("user name or password is wrong (users)")))
    {
        let mut sim = sim(&["anna"], "allow all #");
        for user in ["anna", "bert"] {
            let wire = sim.dial(&as_user(version, "c", user, "wrong"));
            assert_eq!(sim.checks.len(), 1, "an unknown user costs as much");
            answer_all(&mut sim);
            let Packet::ConnAck(connack) = sim.expect(wire) else { panic!("CONNACK is due") };
            assert_eq!(connack.reason_code, ReasonCode::BadUserNameOrPassword);
            assert_eq!(connack.properties.reason_string(), told);
            assert!(sim.is_closed(wire));
        }
        assert_eq!(
            causes(&sim),
            [
                "the password of user \"anna\" (users:1) is wrong (users); to let it in: the remedy",
                "user \"bert\" is in none of the files of users (users); to let it in: the remedy",
            ]
        );
    }
}

#[test]
fn a_held_connect_dies_with_its_connection() {
    let mut sim = sim(&["ab"], "allow all #");
    let wire = sim.dial(&as_user(V5, "c", "ab", "ba"));
    sim.cut(wire);
    answer_all(&mut sim);
    assert_eq!((sim.stats().sessions, sim.stats().connects), (0, 0));
}

#[test]
fn a_held_connect_has_no_longer_than_any_other() {
    let mut sim = sim(&["ab"], "allow all #");
    let wire = sim.dial(&as_user(V5, "c", "ab", "ba"));
    sim.advance(Limits::default().connect_timeout_ms - 1);
    assert!(!sim.is_closed(wire));
    sim.advance(1);
    assert!(sim.is_closed(wire));
    assert_eq!(causes(&sim), ["its password was not checked within 10000 ms"]);
    answer_all(&mut sim);
    assert_eq!(sim.stats().sessions, 0);
}

#[test]
fn two_held_connects_with_one_client_id_take_each_other_over_in_the_order_of_their_answers() {
    let mut sim = sim(&["ab"], "allow all #");
    let first = sim.dial(&as_user(V5, "c", "ab", "ba"));
    let second = sim.dial(&as_user(V5, "c", "ab", "ba"));
    let [one, two] = <[PasswordCheck; 2]>::try_from(std::mem::take(&mut sim.checks)).expect("two wait");
    sim.answer_check(two.connection, done(two.work));
    assert!(matches!(sim.expect(second), Packet::ConnAck(connack) if !connack.reason_code.is_error()));
    sim.answer_check(one.connection, done(one.work));
    sim.expect_end(second, ReasonCode::SessionTakenOver);
    assert!(matches!(sim.expect(first), Packet::ConnAck(connack) if !connack.reason_code.is_error()));
    assert_eq!(sim.stats().sessions, 1);
}

#[test]
fn an_answer_of_before_a_reload_does_not_count_after_it() {
    let mut sim = sim(&["ab"], "allow all #");
    let wire = sim.dial(&as_user(V5, "c", "ab", "ba"));
    let before = std::mem::take(&mut sim.checks);
    sim.set_authority(&access(&["cd"], "allow all #", 2));
    for PasswordCheck { connection, work, .. } in before {
        sim.answer_check(connection, done(work));
    }
    assert_eq!(sim.receive(wire), None, "it is asked once more");
    answer_all(&mut sim);
    assert!(matches!(sim.expect(wire), Packet::ConnAck(connack) if connack.reason_code.is_error()));
}

#[test]
fn who_would_take_over_a_contested_session_waits_before_and_after_the_check_of_its_password() {
    let limits = Limits { takeovers_undelayed_max: 1, ..Limits::default() };
    let authority = access(&["ab"], "allow all #", 1);
    let mut sim = Sim::with(SimOptions { authority, limits, ..SimOptions::default() });
    let client = as_user(V5, "c", "ab", "ba");
    let wires = [(); 3].map(|()| come_in(&mut sim, &client));

    let fourth = sim.dial(&client);
    assert_eq!(sim.checks.len(), 0, "its turn has not come");
    sim.advance(5_000);
    sim.expect_end(wires[1], ReasonCode::SessionTakenOver);
    answer_all(&mut sim);
    assert!(matches!(sim.expect(fourth), Packet::ConnAck(connack) if !connack.reason_code.is_error()));
    sim.expect_end(wires[2], ReasonCode::SessionTakenOver);

    // Nobody is connected when these two are asked, and somebody is when the second one is answered.
    sim.cut(fourth);
    let [fifth, sixth] = [(); 2].map(|()| sim.dial(&client));
    let [one, two] = <[PasswordCheck; 2]>::try_from(std::mem::take(&mut sim.checks)).expect("two wait");
    sim.answer_check(one.connection, done(one.work));
    assert!(matches!(sim.expect(fifth), Packet::ConnAck(connack) if !connack.reason_code.is_error()));
    sim.answer_check(two.connection, done(two.work));
    assert_eq!(sim.receive(sixth), None, "it waits with its answer");
    sim.set_authority(&access(&["ab"], "allow all #", 2));
    sim.advance(5_000);
    assert_eq!((sim.receive(sixth), sim.checks.len()), (None, 1), "the answer is of before the reload");
    answer_all(&mut sim);
    assert!(matches!(sim.expect(sixth), Packet::ConnAck(connack) if !connack.reason_code.is_error()));
    sim.expect_end(fifth, ReasonCode::SessionTakenOver);
}

#[test]
fn a_client_that_cannot_be_checked_is_told_to_come_again() {
    let cases = [
        (CheckAnswer::Busy, ReasonCode::ServerBusy),
        (CheckAnswer::TooManyAttempts, ReasonCode::ConnectionRateExceeded),
    ];
    for (version, (answer, code)) in
        VERSIONS.into_iter().flat_map(|version| cases.clone().map(|case| (version, case)))
    {
        let mut sim = sim(&["ab"], "allow all #");
        let wire = sim.dial(&as_user(version, "c", "ab", "ba"));
        let check = sim.checks.pop().expect("it waits");
        sim.answer_check(check.connection, answer);
        let Packet::ConnAck(connack) = sim.expect(wire) else { panic!("CONNACK is due") };
        assert_eq!(connack.reason_code, if version == V5 { code } else { ReasonCode::ServerUnavailable });
        assert!(sim.is_closed(wire));
    }
}

#[test]
fn an_assigned_client_id_is_the_same_before_and_after_the_check() {
    let mut sim = sim(&["ab"], "allow all of/%c");
    let wire = sim.dial(&as_user(V5, "", "ab", "ba"));
    answer_all(&mut sim);
    let Packet::ConnAck(connack) = sim.expect(wire) else { panic!("CONNACK is due") };
    let client_id = connack.properties.assigned_client_identifier().expect("one was assigned");
    assert_eq!(sim.sessions().map(|session| &*session.client_id).collect::<Vec<_>>(), [client_id]);
    assert_eq!(
        sim.publish(wire, &format!("of/{client_id}"), "x", AtLeastOnce),
        ReasonCode::NoMatchingSubscribers
    );
    assert_eq!(sim.publish(wire, "of/another", "x", AtLeastOnce), ReasonCode::NotAuthorized);
}

#[test]
fn a_client_that_is_not_known_any_more_is_told_to_go() {
    let mut sim = sim(&["ab", "cd"], "allow all #");
    let gone = come_in(&mut sim, &as_user(V5, "one", "ab", "ba"));
    let stays = come_in(&mut sim, &as_user(V5, "two", "cd", "dc"));
    sim.set_authority(&access(&["cd"], "allow all #", 2));
    sim.expect_end(gone, ReasonCode::NotAuthorized);
    sim.expect_alive(stays);
}

#[test]
fn a_will_is_decided_by_the_rules_of_the_time_at_which_it_fires() {
    let mut sim = sim(&["ab"], "allow subscribe #\nallow will no/a group=people");
    let watcher = sim.watch("no/a");
    let options = as_user(V5, "c", "ab", "ba").with_will(will("no/a", "gone"));
    let first = come_in(&mut sim, &options);
    sim.cut(first);
    assert_eq!(sim.payloads(watcher), ["gone"], "its group may");
    let second = come_in(&mut sim, &options);
    sim.set_authority(&access(&["ab"], "allow subscribe #\ndeny will no/#\nallow all #", 2));
    sim.cut(second);
    assert_eq!(sim.payloads(watcher), [""; 0]);
    assert_eq!(forbidden(&sim), [("c", "no/a", "deny will no/# (rules:2)")]);
    assert_eq!(
        sim.refusal(&ConnectOptions { will: options.will.clone(), ..ConnectOptions::default() }),
        ReasonCode::NotAuthorized
    );
}

#[test]
fn a_publication_that_was_accepted_before_is_asked_for_after_a_change_of_rules() {
    let mut sim = sim(&["ab", "cd"], "allow all #");
    let one = come_in(&mut sim, &as_user(V5, "one", "ab", "ba"));
    let two = come_in(&mut sim, &as_user(V5, "two", "cd", "dc"));
    for _ in 0..3 {
        assert_eq!(sim.publish(one, "t", "x", AtLeastOnce), ReasonCode::NoMatchingSubscribers);
        assert_eq!(sim.publish(two, "t", "x", AtLeastOnce), ReasonCode::NoMatchingSubscribers);
    }
    // They had the same rights, and have different ones now.
    sim.set_authority(&access(&["ab", "cd"], "deny all t user=cd\nallow all #", 2));
    for _ in 0..3 {
        assert_eq!(sim.publish(one, "t", "x", AtLeastOnce), ReasonCode::NoMatchingSubscribers);
        assert_eq!(sim.publish(two, "t", "x", AtLeastOnce), ReasonCode::NotAuthorized);
    }
    assert_eq!(forbidden(&sim), [("two", "t", "deny all t user=cd (rules:1)"); 3]);
}

#[test]
fn what_was_queued_by_other_rules_is_asked_for_before_it_is_sent() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut sim = sim(&[], "allow all #");
        let options = ConnectOptions::durable(V5, "away", 1000);
        let away = sim.connect_with(&options);
        sim.subscribe(away, "#", qos);
        sim.cut(away);
        let admin = sim.connect(V5, "admin");
        for (topic, payload) in [("yes/a", "1"), ("no/a", "2"), ("no/b", "3"), ("yes/b", "4")] {
            sim.publish(admin, topic, payload, qos);
        }
        sim.set_authority(&access(&[], "deny receive no/# client=away\nallow all #", 2));
        let away = sim.connect_with(&options);
        assert_eq!(texts(&sim.deliveries(away)), [("yes/a", "1"), ("yes/b", "4")], "{qos:?}");
        let rule = "deny receive no/# client=away (rules:1)";
        assert_eq!(forbidden(&sim), [("away", "no/a", rule), ("away", "no/b", rule)]);
        sim.publish(admin, "no/a", "5", qos);
        sim.publish(admin, "yes/a", "6", qos);
        assert_eq!(texts(&sim.deliveries(away)), [("yes/a", "6")]);
    }
}

#[test]
fn a_delivery_that_has_begun_is_completed() {
    let mut sim = sim(&[], "allow all #");
    let options = ConnectOptions::durable(V5, "c", 1000);
    let wire = sim.connect_with(&options);
    sim.subscribe(wire, "#", AtLeastOnce);
    let admin = sim.connect(V5, "admin");
    sim.publish(admin, "no/a", "begun", AtLeastOnce);
    assert!(matches!(sim.expect(wire), Packet::Publish(_)));
    sim.cut(wire);
    sim.publish(admin, "no/a", "queued", AtLeastOnce);
    sim.set_authority(&access(&[], "deny receive no/# client=c\nallow all #", 2));
    let wire = sim.connect_with(&options);
    assert_eq!(texts(&sim.deliveries(wire)), [("no/a", "begun")]);
}

#[test]
fn live_subscriptions_retained_messages_and_groups_follow_the_rules_of_now() {
    let mut sim = sim(&[], "allow all #");
    let admin = sim.connect(V5, "admin");
    sim.retain(admin, "no/old", "x", AtLeastOnce);
    let (plain, shared) = (sim.connect(V5, "plain"), sim.connect(V5, "shared"));
    sim.subscribe(plain, "no/+", AtMostOnce);
    sim.subscribe(shared, "$share/g/no/+", AtMostOnce);
    assert_eq!(sim.deliveries(plain).len(), 1);
    sim.set_authority(&access(&[], "allow all # client=admin\nallow subscribe no/late client=plain", 2));
    sim.publish(admin, "no/a", "x", AtLeastOnce);
    assert_eq!((sim.deliveries(plain).len(), sim.deliveries(shared).len()), (0, 0));
    let rule = "no rule is about it (rules)";
    let mut dropped = forbidden(&sim);
    dropped.sort_unstable();
    assert_eq!(dropped, [("plain", "no/a", rule), ("shared", "no/a", rule)]);
    assert_eq!(sim.subscribe_all(plain, &[("no/old", AtMostOnce)]), [ReasonCode::NotAuthorized]);
    sim.set_authority(&access(&[], "allow all #", 3));
    sim.publish(admin, "no/a", "x", AtLeastOnce);
    assert_eq!((sim.deliveries(plain).len(), sim.deliveries(shared).len()), (1, 1));
    sim.set_authority(&access(
        &[],
        "allow all # client=admin\nallow subscribe # client=plain\ndeny receive no/#",
        4,
    ));
    let late = sim.connect(V5, "late");
    assert_eq!(sim.subscribe_all(late, &[("no/+", AtMostOnce)]), [ReasonCode::NotAuthorized]);
}

#[test]
fn retained_messages_are_brought_as_far_as_the_rules_allow() {
    let mut sim = sim(&[], "deny receive no/# client=c\nallow all #");
    let admin = sim.connect(V5, "admin");
    sim.retain(admin, "no/old", "x", AtLeastOnce);
    sim.retain(admin, "yes/old", "x", AtLeastOnce);
    let client = sim.connect(V5, "c");
    sim.subscribe(client, "#", AtMostOnce);
    assert_eq!(texts(&sim.deliveries(client)), [("yes/old", "x")]);
}

#[test]
fn a_session_is_the_same_client_after_a_restart() {
    let rules = "allow all # client=admin\nallow subscribe yes/# group=people address=loopback\n\
                 allow will yes/will group=people";
    for crash in [Crash::Kill, Crash::PowerCut] {
        let options = SimOptions { durability: Durability::Disk, ..SimOptions::default() };
        let mut sim = Sim::with(SimOptions { authority: access(&["ab"], rules, 1), ..options });
        let durable = |client_id| ConnectOptions::durable(V5, client_id, 1000);
        let options = ConnectOptions { user_name: Some("ab"), password: Some(b"ba"), ..durable("c") };
        let wire = come_in(&mut sim, &options.clone().with_will(will_after("yes/will", "gone", 1)));
        sim.subscribe(wire, "yes/#", AtLeastOnce);
        let admin = sim.connect_with(&durable("admin"));
        sim.subscribe(admin, "yes/will", AtLeastOnce);
        sim.publish(admin, "yes/before", "1", AtLeastOnce);
        sim.crash_and_restart(crash);
        let admin = sim.connect_with(&ConnectOptions { clean_start: false, ..durable("admin") });
        sim.publish(admin, "yes/after", "2", AtLeastOnce);
        sim.advance(2_000);
        assert_eq!(texts(&sim.deliveries(admin)), [("yes/will", "gone")], "its will is still its own");
        let wire = come_in(&mut sim, &options);
        let received = sim.deliveries(wire);
        assert_eq!(texts(&received)[..2], [("yes/before", "1"), ("yes/after", "2")]);
        assert_eq!(forbidden(&sim), []);
    }
}

#[test]
fn rules_that_changed_while_the_broker_was_down_hold_for_what_was_queued_before() {
    let options = SimOptions { durability: Durability::Disk, ..SimOptions::default() };
    let mut sim = Sim::with(SimOptions { authority: access(&[], "allow all #", 1), ..options });
    let durable = ConnectOptions::durable(V5, "c", 1000);
    let wire = sim.connect_with(&durable);
    sim.subscribe(wire, "#", AtLeastOnce);
    sim.cut(wire);
    let admin = sim.connect(V5, "admin");
    sim.publish(admin, "no/a", "1", AtLeastOnce);
    sim.publish(admin, "yes/a", "2", AtLeastOnce);
    sim.crash(Crash::Kill);
    sim.set_authority(&access(&[], "deny receive no/#\nallow all #", 1));
    sim.restart().expect("the journal is whole");
    let wire = sim.connect_with(&durable);
    assert_eq!(texts(&sim.deliveries(wire)), [("yes/a", "2")]);
}
