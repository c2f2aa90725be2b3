//! Several shards, and what each of them does while the others are in the middle of something.

use noctule_auth::{Action, AllowAll, Authority, Credentials, Decision, Identity, Rights};
use noctule_codec::{Packet, ProtocolVersion, QoS, ReasonCode};
use noctule_engine::{
    Carrier, Change, Directory, Effects, Guarded, Guards, Interest, Mail, Record, Request, Shard,
    ShardConfig, ShardId, Subscriber, Turn, home,
};
use noctule_session::{ConnectionId, Instant, Limits, Position, SessionNumber};
use noctule_testkit::sim::{
    ConnectOptions, Locks, Sim, SimOptions, connect, disconnect, in_many_worlds, payloads, publish,
    subscribe, unsubscribe, will,
};
use noctule_topic::TopicFilter;
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ProtocolVersion::{V3_1_1, V5};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// A client id that lives on this shard.
fn id_at(shard: u16, shards: u16, name: &str) -> String {
    let ids = (0..).map(|n| format!("{name}-{n}"));
    ids.into_iter().find(|id| home(id, shards) == ShardId(shard)).expect("ids spread over shards")
}

fn options(shards: u16, limits: Limits) -> SimOptions {
    SimOptions { shards, limits, ..SimOptions::default() }
}

#[test]
fn a_full_mailbox_stops_the_reading_of_those_who_feed_it_and_of_nobody_else() {
    let limits = Limits { mailbox_bytes_max: 50_000, ..Limits::default() };
    let mut sim = Sim::with(options(2, limits));
    let [feeder, reader] = [(0, "feeder"), (1, "reader")].map(|(shard, name)| id_at(shard, 2, name));
    let bystander = id_at(0, 2, "bystander");
    let feeder = sim.connect(V5, &feeder);
    let reader = sim.connect(V5, &reader);
    let bystander = sim.connect(V5, &bystander);
    sim.subscribe(reader, "fed", AtMostOnce);
    sim.subscribe(bystander, "own", AtMostOnce);
    // The simulation delivers mail only when no bytes can be given to anybody, so a feeder that is read on and
    // on would bring all of it into the mailbox.
    for n in 0..1_000 {
        sim.queue(feeder, &Packet::Publish(publish("fed", format!("{n:0>1000}").as_bytes(), AtMostOnce, 0)));
    }
    sim.queue(bystander, &Packet::Publish(publish("own", b"mine", AtMostOnce, 0)));
    sim.run();
    assert!((50_000..60_000).contains(&sim.mail_bytes_peak), "{}", sim.mail_bytes_peak);
    let received = payloads(&sim.deliveries(reader));
    assert_eq!(received.len(), 1_000, "nothing is lost");
    assert!(received.is_sorted());
    assert_eq!(payloads(&sim.deliveries(bystander)), ["mine"]);
}

/// Messages for groups go from shard to shard until somebody takes them, so they are bounded like others.
#[test]
fn mail_for_groups_is_bounded_too() {
    let limits = Limits { mailbox_bytes_max: 100_000, ..Limits::default() };
    let mut sim = Sim::with(options(1, limits));
    let member = sim.connect_with(&ConnectOptions::durable(V5, "member", 100));
    for n in 0..200 {
        sim.subscribe(member, &format!("$share/g{n}/t"), AtLeastOnce);
    }
    sim.cut(member);
    let publisher = sim.connect(V5, "publisher");
    for id in 1..=50 {
        sim.queue(publisher, &Packet::Publish(publish("t", b"x", AtLeastOnce, id)));
    }
    sim.run();
    assert!(sim.mail_bytes_peak < 200_000, "{}", sim.mail_bytes_peak);
    assert_eq!(sim.drain(publisher).len(), 50, "all are acknowledged");
}

/// The payloads among everything that came.
fn published(sim: &mut Sim, wire: usize) -> Vec<String> {
    let packets = sim.drain(wire).into_iter();
    let payloads = packets.filter_map(|packet| match packet {
        Packet::Publish(publish) => Some(String::from_utf8_lossy(publish.payload).into_owned()),
        _ => None,
    });
    payloads.collect()
}

/// Thousands of filters that one publication visits all: its search takes many turns.
fn plant_bomb(sim: &mut Sim) -> String {
    let bomber = sim.connect(V5, "bomber");
    let mixes: Vec<String> = (0..1 << 12)
        .map(|mix: u32| {
            let levels = (0..12).map(|level| if mix >> level & 1 == 0 { "a" } else { "+" });
            levels.collect::<Vec<_>>().join("/") + "/none"
        })
        .collect();
    let wanted: Vec<(&str, QoS)> = mixes.iter().map(|mix| (mix.as_str(), AtMostOnce)).collect();
    sim.subscribe_all(bomber, &wanted);
    ["a"; 12].join("/")
}

fn unpaced(options: SimOptions) -> SimOptions {
    let limits = Limits { match_visits_per_second_max: 0, ..options.limits };
    SimOptions { limits, ..options }
}

/// A subscription that a search under way does not see is not answered before the search has ended: what it
/// missed live is there as the retained message.
#[test]
fn who_subscribes_during_a_long_search_gets_the_message_live_or_retained() {
    in_many_worlds(12, |options| {
        let mut sim = Sim::with(unpaced(options));
        let topic = plant_bomb(&mut sim);
        let publisher = sim.connect(V5, "publisher");
        let late: Vec<usize> = (0..4).map(|n| sim.connect(V5, &format!("late-{n}"))).collect();
        let retained = noctule_codec::Publish { retain: true, ..publish(&topic, b"value", AtLeastOnce, 1) };
        sim.queue(publisher, &Packet::Publish(retained));
        for wire in &late {
            sim.queue(*wire, &subscribe(1, &[("a/#", AtMostOnce)]));
        }
        sim.run();
        for wire in late {
            let got = published(&mut sim, wire);
            assert!(!got.is_empty() && got.iter().all(|it| it == "value"), "{got:?}");
        }
    });
}

/// After UNSUBACK nothing arrives that was matched before.
#[test]
fn mqtt5_3_10_4_2_nothing_comes_behind_unsuback_however_long_a_search_takes() {
    in_many_worlds(12, |options| {
        let mut sim = Sim::with(unpaced(options));
        let topic = plant_bomb(&mut sim);
        let publisher = sim.connect(V5, "publisher");
        let client = sim.connect(V5, "client");
        sim.subscribe(client, "a/#", AtMostOnce);
        sim.queue(publisher, &Packet::Publish(publish(&topic, b"value", AtMostOnce, 0)));
        sim.queue(client, &unsubscribe(1, &["a/#"]));
        sim.run();
        let packets = sim.drain(client);
        assert!(matches!(packets.last(), Some(Packet::UnsubAck(_))), "{packets:?}");
    });
}

#[test]
fn mqtt5_3_10_4_2_nothing_comes_behind_unsuback_from_whichever_shard() {
    in_many_worlds(100, |options| {
        let mut sim = Sim::with(options);
        let publishers: Vec<usize> = (0..4).map(|n| sim.connect(V5, &format!("publisher-{n}"))).collect();
        for round in 0..4 {
            let client = sim.connect(V5, &format!("client-{round}"));
            sim.subscribe(client, "t", AtMostOnce);
            for publisher in &publishers {
                sim.queue(*publisher, &Packet::Publish(publish("t", b"x", AtMostOnce, 0)));
            }
            sim.queue(client, &unsubscribe(1, &["t"]));
            sim.run();
            let packets = sim.drain(client);
            assert!(matches!(packets.last(), Some(Packet::UnsubAck(_))), "{packets:?}");
        }
    });
}

/// Whatever a client causes comes behind its own publication, also what its end causes.
#[test]
fn everything_of_a_client_waits_behind_its_long_search_and_nothing_of_others() {
    in_many_worlds(6, |options| {
        let mut sim = Sim::with(unpaced(options));
        let topic = plant_bomb(&mut sim);
        let watcher = sim.watch("a/#");
        sim.subscribe(watcher, "will", AtMostOnce);
        let mut last_word = ConnectOptions { client_id: "client", ..ConnectOptions::default() };
        last_word = last_word.with_will(will("will", "will"));
        let client = sim.connect_with(&last_word);
        sim.queue(client, &Packet::Publish(publish(&topic, b"searched for", AtMostOnce, 0)));
        sim.queue(client, &Packet::Publish(publish("a/short", b"behind", AtMostOnce, 0)));
        sim.queue(client, &disconnect(ReasonCode::DisconnectWithWill));
        sim.run();
        assert_eq!(payloads(&sim.deliveries(watcher)), ["searched for", "behind", "will"]);
    });
}

#[test]
fn a_connection_that_breaks_during_a_search_has_published_before_its_will() {
    let mut sim = Sim::with(unpaced(SimOptions { shuffled: true, ..options(2, Limits::default()) }));
    let topic = plant_bomb(&mut sim);
    let watcher = sim.watch("#");
    let last_word = ConnectOptions { client_id: "client", ..ConnectOptions::default() };
    let client = sim.connect_with(&last_word.with_will(will("will", "will")));
    sim.queue(client, &Packet::Publish(publish(&topic, b"searched for", AtMostOnce, 0)));
    sim.run_while(|sim| sim.stats().publishes_received == 0);
    sim.cut(client);
    assert_eq!(payloads(&sim.deliveries(watcher)), ["searched for", "will"]);
}

/// A session's place is used again; what was routed to the one before does not reach the next.
#[test]
fn mail_for_a_session_that_has_ended_reaches_nobody_else() {
    in_many_worlds(60, |options| {
        let mut sim = Sim::with(options);
        let publishers: Vec<usize> = (0..3).map(|n| sim.connect(V5, &format!("publisher-{n}"))).collect();
        for round in 0..5 {
            let leaving = sim.connect(V3_1_1, &format!("leaving-{round}"));
            sim.subscribe(leaving, "t", AtMostOnce);
            for publisher in &publishers {
                sim.queue(*publisher, &Packet::Publish(publish("t", b"for the old one", AtMostOnce, 0)));
            }
            sim.queue(leaving, &disconnect(ReasonCode::Success));
            let next = sim.open();
            sim.queue(next, &connect(V5, &format!("next-{round}")));
            sim.run();
            let packets = sim.drain(next);
            assert!(matches!(&packets[..], [Packet::ConnAck(_)]), "{packets:?}");
            sim.cut(next);
        }
    });
}

/// Allows publishing until it is told otherwise, but nothing retained below `live/`.
#[derive(Default)]
struct Revocable {
    is_revoked: AtomicBool,
    generation: AtomicU64,
}

impl Authority for Revocable {
    fn connect(&self, _: &Credentials<'_>) -> Decision {
        Decision::allow("everybody", "test")
    }

    fn permit(&self, _: &Identity, action: &Action<'_>) -> Decision {
        match action {
            Action::Publish { .. } if self.is_revoked.load(Ordering::Relaxed) => {
                Decision::deny("no more", "test")
            }
            Action::Publish { topic, retain: true, .. } if topic.starts_with("live/") => {
                Decision::deny("nothing retained", "test")
            }
            _ => Decision::allow("still", "test"),
        }
    }

    fn rights(&self, _: &Identity) -> Option<Rights> {
        Some(Rights(7))
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }
}

#[test]
fn a_kept_route_does_not_outlive_a_change_of_rights() {
    let rules = Arc::new(Revocable::default());
    let authority: Arc<dyn Authority + Send + Sync> = Arc::<Revocable>::clone(&rules);
    let mut sim = Sim::with(SimOptions { authority, ..SimOptions::default() });
    let watcher = sim.watch("t");
    let publisher = sim.connect(V5, "publisher");
    for _ in 0..3 {
        assert_eq!(sim.publish(publisher, "t", "x", AtLeastOnce), ReasonCode::Success);
    }
    assert!(sim.stats().route_hits >= 2);
    rules.is_revoked.store(true, Ordering::Relaxed);
    rules.generation.store(1, Ordering::Relaxed);
    assert_eq!(sim.publish(publisher, "t", "x", AtLeastOnce), ReasonCode::NotAuthorized);
    assert_eq!(sim.deliveries(watcher).len(), 3);
    rules.is_revoked.store(false, Ordering::Relaxed);
    rules.generation.store(2, Ordering::Relaxed);
    assert_eq!(sim.publish(publisher, "t", "x", AtLeastOnce), ReasonCode::Success);
    // The same rights allow one kind of publication and not another.
    assert_eq!(sim.publish(publisher, "live/t", "x", AtLeastOnce), ReasonCode::NoMatchingSubscribers);
    assert_eq!(sim.retain(publisher, "live/t", "x", AtLeastOnce), ReasonCode::NotAuthorized);
}

#[test]
fn a_kept_route_does_not_outlive_a_change_of_subscriptions() {
    in_many_worlds(3, |options| {
        let mut sim = Sim::with(options);
        let publisher = sim.connect(V5, "publisher");
        for (n, filter) in ["a/b/c", "a/b/#", "a/+/c", "+/b/c", "#", "$share/g/a/b/c"].into_iter().enumerate()
        {
            let client = sim.connect(V5, &format!("client-{n}"));
            sim.publish(publisher, "a/b/c", "before", AtLeastOnce);
            sim.publish(publisher, "a/b/c", "before", AtLeastOnce);
            sim.subscribe(client, filter, AtMostOnce);
            sim.publish(publisher, "a/b/c", "during", AtLeastOnce);
            sim.send(client, &unsubscribe(9, &[filter]));
            sim.publish(publisher, "a/b/c", "after", AtLeastOnce);
            assert_eq!(published(&mut sim, client), ["during"], "{filter}");
        }
    });
}

/// Guards that count how often they are passed, and let somebody change the subscriptions at the worst of times: behind
/// a look at them.
struct Watched;

#[derive(Debug)]
struct Watch<T>(Box<dyn Guarded<T>>);

thread_local! {
    static PASSED: Cell<u32> = const { Cell::new(0) };
    static INTRUSION: Cell<Option<&'static dyn Fn()>> = const { Cell::new(None) };
}

impl Guards for Watched {
    fn guard<T: Debug + Send + Sync + 'static>(value: T) -> Box<dyn Guarded<T>> {
        Box::new(Watch(Locks::guard(value)))
    }
}

impl<T: Debug> Guarded<T> for Watch<T> {
    fn read(&self, look: &mut dyn FnMut(&T)) {
        PASSED.set(PASSED.get() + 1);
        self.0.read(look);
        if let Some(intrude) = INTRUSION.take() {
            intrude();
        }
    }

    fn change(&self, change: &mut dyn FnMut(&mut T)) {
        PASSED.set(PASSED.get() + 1);
        self.0.change(change);
    }
}

fn interest() -> Interest {
    Interest { qos: QoS::AtMostOnce, no_local: false, retain_as_published: false, durable: false, id: 0 }
}

/// A route that was searched for while a subscription was made is not kept as if it knew of it.
#[test]
fn a_change_in_the_middle_of_a_search_makes_its_route_stale() {
    let directory: &'static Directory = Box::leak(Box::new(Directory::new::<Watched>(8)));
    let mut wires = Wires::new(directory, 0, 1);
    wires.connect(0, "publisher");
    let subscriber = Subscriber { home: ShardId(7), slot: 0, session: SessionNumber(99) };
    let filter = TopicFilter::parse("t").expect("a filter");
    let change = move || {
        directory.apply(Change::Subscribe { filter: filter.clone(), subscriber, interest: interest() });
    };
    INTRUSION.set(Some(Box::leak(Box::new(change))));
    wires.give(0, &Packet::Publish(publish("t", b"first", AtMostOnce, 0)));
    assert!(INTRUSION.take().is_none(), "the search looked");
    assert_eq!(wires.carried.mail, 0, "the first publication came before");
    wires.give(0, &Packet::Publish(publish("t", b"second", AtMostOnce, 0)));
    assert_eq!(wires.carried.mail, 1);
}

#[test]
fn a_message_on_a_kept_route_passes_no_lock() {
    let directory: &'static Directory = Box::leak(Box::new(Directory::new::<Watched>(8)));
    let mut wires = Wires::new(directory, 0, 1);
    wires.connect(0, "publisher");
    wires.connect(1, "subscriber");
    wires.give(1, &subscribe(1, &[("t", ExactlyOnce)]));
    let subscriber = Subscriber { home: ShardId(7), slot: 0, session: SessionNumber(99) };
    let filter = TopicFilter::parse("t").expect("a filter");
    directory.apply(Change::Subscribe { filter, subscriber, interest: interest() });
    // Behind that the carrier looks for itself.
    let passed_by = |wires: &mut Wires, qos, id| {
        let (before, mail) = (PASSED.get(), wires.carried.mail);
        let mut passed = 0;
        let bytes = encoded(&Packet::Publish(publish("t", b"payload", qos, id)));
        wires.turn(|shard, turn| {
            shard.receive(ConnectionId { slot: 0, generation: 1 }, &bytes, turn);
            passed = PASSED.get() - before;
        });
        assert_eq!(wires.carried.mail, mail + 1, "one for the other shard");
        passed
    };
    assert_ne!(passed_by(&mut wires, AtMostOnce, 0), 0, "the first one is searched for");
    for (qos, id) in [(AtMostOnce, 0), (AtLeastOnce, 1), (AtLeastOnce, 2), (ExactlyOnce, 3), (ExactlyOnce, 4)]
    {
        assert_eq!(passed_by(&mut wires, qos, id), 0, "{qos:?}");
    }
}

/// The retained message of `t`, which stands at position 5 of a journal, and another one; the first shard is about
/// to say again what stands before position 9.
fn about_to_say_again() -> (Wires, &'static RefCell<Wires>) {
    let directory: &'static Directory = Box::leak(Box::new(Directory::new::<Watched>(2)));
    let mut first = Wires::new(directory, 0, 2);
    let second: &'static RefCell<Wires> = Box::leak(Box::new(RefCell::new(Wires::new(directory, 1, 2))));
    first.connect(0, &id_at(0, 2, "publisher"));
    second.borrow_mut().connect(0, &id_at(1, 2, "publisher"));
    for topic in ["t", "other"] {
        second.borrow_mut().give(0, &Packet::Publish(retained(topic, b"value")));
        directory.retained.read(|tree| tree.get(topic).expect("it is retained").place.set(Position(5)));
    }
    first.turn(|shard, _| shard.restate(Position(9)));
    first.carried.records.clear();
    (first, second)
}

fn retained<'a>(topic: &'a str, payload: &'a [u8]) -> noctule_codec::Publish<'a> {
    noctule_codec::Publish { retain: true, ..publish(topic, payload, AtMostOnce, 0) }
}

/// What is recorded of retained messages: those that were said again, and `clear` for the end of one.
fn said_of_retained(records: &[Record]) -> Vec<&str> {
    let said = records.iter().filter_map(|record| match record {
        Record::Retained(message) => Some(message.topic.as_str()),
        Record::Published(frame) if frame.message.payload.is_empty() => Some("clear"),
        _ => None,
    });
    said.collect()
}

#[test]
fn a_retained_message_that_is_cleared_while_it_is_said_again_is_not() {
    let (mut first, second) = about_to_say_again();
    let clear = || second.borrow_mut().give(0, &Packet::Publish(retained("t", b"")));
    INTRUSION.set(Some(Box::leak(Box::new(clear))));
    first.turn(|_, _| {});
    assert!(INTRUSION.take().is_none(), "the first shard has looked at what is retained");
    assert_eq!(said_of_retained(&second.borrow().carried.records).last(), Some(&"clear"));
    assert_eq!(said_of_retained(&first.carried.records), ["other"]);
}

#[test]
fn a_turn_that_clears_a_retained_message_says_it_again_in_front_of_that() {
    let (mut first, _) = about_to_say_again();
    first.give(0, &Packet::Publish(retained("t", b"")));
    let said = said_of_retained(&first.carried.records);
    assert_eq!((said.len(), said.last()), (3, Some(&"clear")), "{said:?}");
}

/// One shard of several, driven by hand.
struct Wires {
    shard: Shard,
    directory: &'static Directory,
    fx: Effects,
    carried: Carried,
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(V5, &mut bytes).expect("it can be encoded");
    bytes
}

/// Sees in which order a turn is carried out.
struct Carried {
    directory: &'static Directory,
    records: Vec<Record>,
    mail: usize,
    /// What was visible when records were appended, and when mail left.
    retained_at_append: Vec<u64>,
    seen_at_send: Vec<(usize, usize)>,
    /// Groups that were visible when a home was told that somebody has left.
    groups_at_left: Vec<usize>,
}

impl Carrier for Carried {
    fn append(&mut self, records: &mut Vec<Record>) -> Position {
        self.retained_at_append.push(self.directory.retained_messages());
        self.records.append(records);
        Position::NOWHERE
    }

    fn ask(&mut self, requests: std::vec::Drain<'_, Request>) {
        assert_eq!(requests.count(), 0, "nothing was left to a journal");
    }

    fn send(&mut self, mail: std::vec::Drain<'_, (ShardId, Mail)>) {
        let (mut delivers, mut lefts) = (0, 0);
        for (_, mail) in mail {
            delivers += usize::from(matches!(mail, Mail::Deliver { .. }));
            lefts += usize::from(matches!(mail, Mail::Left { .. }));
        }
        if delivers > 0 {
            let retained = self.directory.retained.read(noctule_topic::RetainedTree::len);
            self.seen_at_send.push((self.records.len(), retained));
        }
        if lefts > 0 {
            self.groups_at_left.push(self.directory.groups.read(noctule_engine::Groups::len));
        }
        self.mail += delivers;
    }
}

impl Wires {
    fn new(directory: &'static Directory, shard: u16, shards: u16) -> Self {
        let config = ShardConfig { id: ShardId(shard), shards, seed: 1 };
        let shard = Shard::new(config, Arc::new(Limits::default()), Arc::new(AllowAll));
        let carried = Carried {
            directory,
            records: Vec::new(),
            mail: 0,
            retained_at_append: Vec::new(),
            seen_at_send: Vec::new(),
            groups_at_left: Vec::new(),
        };
        Self { shard, directory, fx: Effects::default(), carried }
    }

    fn connect(&mut self, slot: u32, client_id: &str) {
        let id = ConnectionId { slot, generation: 1 };
        self.turn(|shard, turn| shard.open(id, "somewhere", false, turn));
        self.give(slot, &connect(V5, client_id));
    }

    fn give(&mut self, slot: u32, packet: &Packet<'_>) {
        let (id, bytes) = (ConnectionId { slot, generation: 1 }, encoded(packet));
        self.turn(|shard, turn| {
            shard.receive(id, &bytes, turn);
        });
    }

    fn turn(&mut self, work: impl FnOnce(&mut Shard, &mut Turn<'_>)) {
        let mut turn = Turn { now: Instant::from_millis(0), directory: self.directory, fx: &mut self.fx };
        work(&mut self.shard, &mut turn);
        self.shard.end_turn(&mut self.carried, &mut turn);
    }
}

/// A retained publication for a client of another shard: its record first, then the tree, then the mail. The
/// end of a subscription: the group first, then the mail that tells its home.
#[test]
fn a_turn_is_carried_out_in_the_order_that_makes_durability_true() {
    let directory: &'static Directory = Box::leak(Box::new(Directory::new::<Locks>(2)));
    let mut wires = Wires::new(directory, 0, 2);
    let subscriber = Subscriber { home: ShardId(1), slot: 0, session: SessionNumber(99) };
    let filter = TopicFilter::parse("t").expect("a filter");
    directory.apply(Change::Subscribe { filter, subscriber, interest: interest() });
    wires.connect(0, &id_at(0, 2, "publisher"));
    wires.give(0, &Packet::Publish(retained("t", b"value")));
    assert_eq!(wires.carried.retained_at_append, [0], "nothing is visible before its record is appended");
    assert_eq!(wires.carried.seen_at_send, [(1, 1)], "mail leaves when both have happened");
    wires.give(0, &subscribe(1, &[("$share/g/t", AtMostOnce)]));
    wires.give(0, &unsubscribe(2, &["$share/g/t"]));
    assert_eq!(wires.carried.groups_at_left, [0], "a home looks whether its group has members");
}
