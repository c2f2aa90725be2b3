//! Whole brokers with clients of every kind over a network that breaks, thousands of times over.
//!
//! A seed decides everything. One that fails is printed with the command that runs it again:
//! `NOCTULE_SEED=… cargo test -p noctule-testkit --test it chaos`. `NOCTULE_SEEDS=n` runs n of them,
//! `NOCTULE_SEEDS=n..m` those from n up to m; `cargo xtask worlds` runs many.

use noctule_codec::{ProtocolVersion, QoS};
use noctule_session::client::Delivery;
use noctule_session::{Durability, Limits};
use noctule_testkit::sim::{
    ClientOptions, Entry, Fault, Faults, Handle, Mangle, Random, SimOptions, WillOptions, World,
    WorldOptions, check_replay,
};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const TOPICS: [&str; 3] = ["a/x", "a/y", "b/x"];
const FILTERS: [&str; 5] = ["a/+", "a/#", "a/x", "+/x", "b/x"];
const JOBS: &str = "$share/workers/job/#";

/// The seeds to run: the one that is asked for, or as many as are asked for.
pub(crate) fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("no number of a seed: {text}"));
    if let Ok(seed) = std::env::var("NOCTULE_SEED") {
        return number(&seed)..number(&seed) + 1;
    }
    match std::env::var("NOCTULE_SEEDS") {
        Ok(seeds) => match seeds.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&seeds),
        },
        Err(_) => 0..default,
    }
}

#[test]
fn every_promise_is_kept_over_a_network_that_breaks() {
    for seed in seeds(1000) {
        for shards in 1..=3 {
            let mut chaos = Chaos::new(seed, shards, None);
            let faults = chaos.run();
            assert!(
                faults.is_empty(),
                "{}seed {seed} with {shards} shards: {faults:#?}\nagain, with the log: NOCTULE_SEED={seed} cargo \
                 test -p noctule-testkit --test it chaos::every_promise",
                chaos.log()
            );
        }
    }
}

#[test]
fn a_seed_says_everything() {
    for seed in 0..3 {
        let log = |seed| {
            let mut chaos = Chaos::new(seed, 3, None);
            chaos.run();
            format!("{:?}", chaos.world.ledger.entries)
        };
        assert_eq!(log(seed), log(seed));
    }
}

/// Changes the log of worlds that went well and says how many of them the judge then finds fault with, of how
/// many in which there was something to change.
fn judged_wrong(
    seeds: u64,
    change: impl Fn(&mut Vec<Entry>, &Chaos) -> bool,
    is_meant: impl Fn(&Fault) -> bool,
) -> (usize, usize) {
    let (mut found, mut changed) = (0, 0);
    for seed in 0..seeds {
        let mut chaos = Chaos::new(seed, 3, None);
        assert_eq!(chaos.run(), [], "seed {seed}");
        let mut ledger = chaos.world.ledger.clone();
        if change(&mut ledger.entries, &chaos) {
            changed += 1;
            let mut faults = ledger.check(Some(chaos.watcher.0));
            faults.extend(ledger.check_retained(chaos.newcomer.0));
            found += usize::from(faults.iter().any(&is_meant));
        }
    }
    (found, changed)
}

/// The places in the log of deliveries like this.
fn deliveries(entries: &[Entry], is_it: impl Fn(usize, &Delivery) -> bool) -> Vec<usize> {
    let is_meant = |entry: &Entry| match entry {
        Entry::Delivered { client, delivery } => is_it(*client, delivery),
        _ => false,
    };
    entries.iter().enumerate().filter(|(_, entry)| is_meant(entry)).map(|(at, _)| at).collect()
}

#[test]
fn a_will_that_is_lost_is_found() {
    let (found, changed) = judged_wrong(
        12,
        |entries, chaos| {
            // Of some connections it is not sure that they have a will, so one alone may not be missed.
            let wills = deliveries(entries, |client, _| client == chaos.watcher.0);
            wills.iter().rev().for_each(|at| drop(entries.remove(*at)));
            !wills.is_empty()
        },
        |fault| matches!(fault, Fault::Will(_)),
    );
    assert!(changed > 3 && found * 2 > changed, "{found} of {changed}");
}

#[test]
fn a_will_that_comes_twice_is_found() {
    let (found, changed) = judged_wrong(
        12,
        |entries, chaos| {
            let place = deliveries(entries, |client, _| client == chaos.watcher.0).pop();
            place.map(|at| entries.push(entries[at].clone())).is_some()
        },
        |fault| matches!(fault, Fault::Will(_)),
    );
    assert!(changed > 3 && found == changed, "{found} of {changed}");
}

#[test]
fn a_delivery_that_is_lost_is_found() {
    let (found, changed) = judged_wrong(
        12,
        |entries, _| {
            let lost = deliveries(entries, |_, delivery| delivery.qos > QoS::AtMostOnce && !delivery.retain);
            lost.iter().rev().for_each(|at| drop(entries.remove(*at)));
            !lost.is_empty()
        },
        |fault| matches!(fault, Fault::Lost(_)),
    );
    assert!(changed > 3 && found * 2 > changed, "{found} of {changed}");
}

#[test]
fn a_qos_2_delivery_that_comes_twice_is_found() {
    let (found, changed) = judged_wrong(
        12,
        |entries, chaos| {
            let watcher = chaos.watcher.0;
            let places = deliveries(entries, |client, delivery| {
                client != watcher && delivery.qos == QoS::ExactlyOnce && !delivery.retain
            });
            let place = places.into_iter().find(|at| !is_repeated(entries, *at));
            place.map(|at| entries.insert(at, entries[at].clone())).is_some()
        },
        |fault| matches!(fault, Fault::Duplicate(_)),
    );
    assert!(changed > 3 && found * 2 > changed, "{found} of {changed}");
}

/// Whether the publication of a delivery was published while its publisher connected more than once.
fn is_repeated(entries: &[Entry], at: usize) -> bool {
    let Entry::Delivered { delivery, .. } = &entries[at] else { return false };
    let published = entries.iter().position(
        |entry| matches!(entry, Entry::Publish { payload, .. } if payload[..] == delivery.payload[..]),
    );
    published
        .is_none_or(|began| entries[began..at].iter().any(|entry| matches!(entry, Entry::Connected { .. })))
}

#[test]
fn two_deliveries_that_change_places_are_found() {
    let (found, changed) = judged_wrong(
        12,
        |entries, _| {
            let mut has_changed = false;
            let places = deliveries(entries, |_, delivery| !delivery.retain && !delivery.dup);
            for (place, first) in places.iter().enumerate() {
                for second in &places[place + 1..] {
                    if !has_changed && is_ordered_pair(entries, *first, *second) {
                        entries.swap(*first, *second);
                        has_changed = true;
                    }
                }
            }
            has_changed
        },
        |fault| matches!(fault, Fault::Disorder(_)),
    );
    assert!(changed > 3 && found * 2 > changed, "{found} of {changed}");
}

/// Two deliveries to one client of two publications of one publisher, topic and QoS.
fn is_ordered_pair(entries: &[Entry], first: usize, second: usize) -> bool {
    let key = |at: usize| {
        let Entry::Delivered { client, delivery } = &entries[at] else { return None };
        let publisher = entries.iter().find_map(|entry| match entry {
            Entry::Publish { client, payload, qos, .. } if payload[..] == delivery.payload[..] => {
                Some((*client, *qos))
            }
            _ => None,
        })?;
        Some((*client, publisher, delivery.topic.clone(), delivery.qos))
    };
    !is_repeated(entries, first)
        && !is_repeated(entries, second)
        && key(first).is_some()
        && key(first) == key(second)
}

#[test]
fn a_message_that_nobody_published_is_found() {
    let (found, changed) = judged_wrong(
        12,
        |entries, _| {
            let place = deliveries(entries, |_, delivery| !delivery.payload.is_empty()).pop();
            if let Some(Entry::Delivered { delivery, .. }) = place.map(|at| &mut entries[at]) {
                delivery.payload = b"nobody said this".as_slice().into();
            }
            place.is_some()
        },
        |fault| matches!(fault, Fault::Invented(_)),
    );
    assert!(changed > 3 && found == changed, "{found} of {changed}");
}

#[test]
fn a_message_for_somebody_who_did_not_subscribe_is_found() {
    let (found, changed) = judged_wrong(
        12,
        |entries, chaos| {
            let watcher = chaos.watcher.0;
            let place = deliveries(entries, |client, delivery| {
                client != watcher && !delivery.retain && !delivery.topic.starts_with("will")
            })
            .pop();
            if let Some(Entry::Delivered { client, .. }) = place.map(|at| &mut entries[at]) {
                *client = watcher;
            }
            place.is_some()
        },
        |fault| matches!(fault, Fault::NotSubscribed(_)),
    );
    assert!(changed > 3 && found == changed, "{found} of {changed}");
}

#[test]
fn an_acknowledgement_that_never_came_is_found() {
    let (found, changed) = judged_wrong(
        12,
        |entries, _| {
            let place = entries.iter().position(|entry| matches!(entry, Entry::Acknowledged { .. }));
            place.map(|at| entries.remove(at)).is_some()
        },
        |fault| matches!(fault, Fault::Unacknowledged(_)),
    );
    assert!(changed > 3 && found == changed, "{found} of {changed}");
}

#[test]
fn a_job_for_two_workers_is_found() {
    let (found, changed) = judged_wrong(
        60,
        |entries, chaos| {
            let [first, second, ..] = chaos.workers[..] else { return false };
            let of_first =
                |client, delivery: &Delivery| client == first.0 && delivery.qos == QoS::ExactlyOnce;
            let place = deliveries(entries, of_first).into_iter().find(|at| !is_repeated(entries, *at));
            let Some(at) = place else { return false };
            let Entry::Delivered { delivery, .. } = entries[at].clone() else { return false };
            entries.push(Entry::Delivered { client: second.0, delivery });
            true
        },
        |fault| matches!(fault, Fault::Duplicate(_)),
    );
    assert!(changed > 3 && found * 2 > changed, "{found} of {changed}");
}

#[test]
fn an_old_retained_message_is_found() {
    let (found, changed) = judged_wrong(
        12,
        |entries, chaos| {
            let newcomer = chaos.newcomer.0;
            let place = deliveries(entries, |client, _| client == newcomer).pop();
            if let Some(Entry::Delivered { delivery, .. }) = place.map(|at| &mut entries[at]) {
                delivery.payload = b"message 0".as_slice().into();
            }
            place.is_some()
        },
        |fault| matches!(fault, Fault::Retained(_)),
    );
    assert!(changed > 3 && found == changed, "{found} of {changed}");
}

#[test]
fn a_network_that_loses_or_repeats_whole_packets_is_found() {
    for mangle in [Mangle::LosePublish, Mangle::RepeatPublish, Mangle::LosePubRel] {
        let found = (0..10).filter(|seed| !Chaos::new(*seed, 3, Some(mangle)).run().is_empty()).count();
        assert!(found >= 5, "{mangle:?} was found in {found} worlds of 10");
    }
}

/// A broker and its clients with what they are about to do.
pub(crate) struct Chaos {
    pub(crate) world: World,
    pub(crate) random: Random,
    pub(crate) watcher: Handle,
    publishers: Vec<Handle>,
    subscribers: Vec<Handle>,
    workers: Vec<Handle>,
    retained_qos: Vec<QoS>,
    /// Who comes when everything has settled.
    newcomer: Handle,
    published: u32,
    variety: Variety,
}

/// What not every world has.
#[derive(Clone, Copy)]
pub(crate) struct Variety {
    /// The network changes what passes.
    pub(crate) mangle: Option<Mangle>,
    /// Messages are up to so long.
    pub(crate) bytes_max: usize,
    /// Some sessions outlive their connections by seconds.
    pub(crate) has_brief_sessions: bool,
    /// What is promised of some topics is less.
    pub(crate) durability_rules: &'static [&'static str],
}

impl Default for Variety {
    fn default() -> Self {
        Self { mangle: None, bytes_max: 40, has_brief_sessions: false, durability_rules: &[] }
    }
}

impl Chaos {
    fn new(seed: u64, shards: u16, mangle: Option<Mangle>) -> Self {
        let sim = SimOptions { seed, shards, ..SimOptions::default() };
        Self::with(sim, Variety { mangle, ..Variety::default() })
    }

    /// A world whose broker is set up like this, but for its limits.
    pub(crate) fn with(sim: SimOptions, variety: Variety) -> Self {
        let SimOptions { seed, shards, .. } = sim;
        let mut random = Random::new(seed.wrapping_mul(31) ^ u64::from(shards));
        let limits = Limits {
            receive_maximum: 1 + random.below(20) as u16,
            inflight_messages_max: 1 + random.below(20) as u16,
            inflight_messages_max_v3: 1 + random.below(5) as u16,
            output_bytes_max: 64 << random.below(8),
            mailbox_bytes_max: 64 << random.below(10),
            route_cache_bytes_max: 1 << random.below(24),
            durability_rules: variety.durability_rules.iter().map(|it| it.parse().expect("a rule")).collect(),
            ..Limits::default()
        };
        let faults = Faults {
            latency_millis_max: random.below(60),
            spared_one_in: random.below(4),
            bytes_until_cut: 100 + random.below(900),
            notice_millis_max: 4_000,
            slow_reader_one_in: random.below(5),
            fragments: random.one_in(2),
            mangle: variety.mangle,
        };
        let is_traced = std::env::var_os("NOCTULE_SEED").is_some();
        // Most messages are recorded in parts, or hardly any are.
        let part_bytes = if seed % 2 == 0 { 64 } else { 256 };
        let sim = SimOptions { limits, shuffled: true, is_traced, part_bytes, ..sim };
        let mut chaos = Self {
            world: World::with(WorldOptions { sim, faults }),
            random,
            watcher: Handle(0),
            publishers: Vec::new(),
            subscribers: Vec::new(),
            workers: Vec::new(),
            retained_qos: Vec::new(),
            newcomer: Handle(0),
            published: 0,
            variety,
        };
        chaos.populate();
        chaos
    }

    /// The watcher of wills, a handful of clients that publish and subscribe, and the workers of a group.
    fn populate(&mut self) {
        self.watcher = self.client("watcher", true, false);
        self.world.subscribe(self.watcher, "will/#", QoS::ExactlyOnce);
        let watcher = self.watcher;
        self.world.run_until(|world| {
            world
                .ledger
                .entries
                .iter()
                .any(|entry| matches!(entry, Entry::Answered { client, .. } if *client == watcher.0))
        });
        for number in 0..2 {
            let durable = !self.random.one_in(4);
            let publisher = self.client(&format!("publisher {number}"), durable, true);
            self.publishers.push(publisher);
            self.retained_qos.push(QOS[1 + self.random.below(2)]);
        }
        for number in 0..3 {
            let durable = !self.random.one_in(4);
            let subscriber = self.client(&format!("subscriber {number}"), durable, true);
            self.subscribers.push(subscriber);
            self.change_subscription();
            self.change_subscription();
        }
        for number in 0..1 + self.random.below(3) {
            let durable = number == 0 || !self.random.one_in(4);
            let worker = self.client(&format!("worker {number}"), durable, false);
            self.world.subscribe(worker, JOBS, QOS[1 + self.random.below(2)]);
            self.workers.push(worker);
        }
    }

    fn client(&mut self, client_id: &str, durable: bool, may_have_will: bool) -> Handle {
        let will = (may_have_will && self.random.one_in(2)).then(|| WillOptions {
            topic: format!("will/{client_id}").into(),
            qos: QoS::ExactlyOnce,
            delay_seconds: if self.random.one_in(3) { 1 } else { 0 },
        });
        let version = VERSIONS[self.random.below(3)];
        let is_brief = may_have_will && self.variety.has_brief_sessions && self.random.one_in(3);
        self.world.connect_with(ClientOptions {
            client_id: client_id.into(),
            version,
            durable,
            session_expiry_seconds: if is_brief { 1 + self.random.below(3) as u32 } else { u32::MAX },
            keep_alive_seconds: 2 + self.random.below(4) as u16,
            receive_maximum: self.random.one_in(2).then(|| 1 + self.random.below(4) as u16),
            topic_alias_maximum: self.random.below(3) as u16,
            will,
            reconnects: true,
        })
    }

    /// Everything that goes wrong, then peace, then judgement.
    fn run(&mut self) -> Vec<Fault> {
        for _ in 0..30 {
            self.act();
            let pause = self.random.below(200) as u64;
            self.world.run_for(pause);
            if self.random.one_in(3)
                && let Err(difference) = self.replay()
            {
                return vec![Fault::Wrong(difference)];
            }
        }
        self.world.calm();
        let is_settled = (0..40).any(|_| {
            self.world.run_for(1_000);
            self.world.is_settled()
        });
        if !is_settled {
            return vec![Fault::Wrong(format!("not everything owed arrived:\n{}", self.world.describe()))];
        }
        if let Err(difference) = self.replay() {
            return vec![Fault::Wrong(difference)];
        }
        let faults = self.world.ledger.check(Some(self.watcher.0));
        if faults.is_empty() { self.check_retained() } else { faults }
    }

    /// What happened, if a single seed was asked for.
    pub(crate) fn log(&self) -> String {
        let entries = self.world.ledger.entries.iter().enumerate();
        match std::env::var_os("NOCTULE_SEED") {
            Some(_) => {
                let entries = entries.map(|(at, entry)| format!("{at} {entry}\n"));
                entries.chain([self.world.sim.describe_journal()]).collect()
            }
            None => String::new(),
        }
    }

    /// The records give the sessions back, whenever no mail is on its way.
    fn replay(&self) -> Result<(), String> {
        check_replay(&self.world.sim.records, self.world.sim.sessions())
    }

    pub(crate) fn act(&mut self) {
        match self.random.below(12) {
            0..=4 => self.publish(),
            5 => self.publish_retained(),
            6 => self.publish_job(),
            7 => self.change_subscription(),
            8 => {
                let client = self.anybody();
                self.world.cut(client);
            }
            9 => {
                let client = self.anybody();
                self.world.take_over(client);
            }
            10 => {
                let client = self.anybody();
                self.world.disconnect(client);
            }
            _ => self.start_clean(),
        }
    }

    fn publish(&mut self) {
        let publisher = self.publisher();
        for _ in 0..1 + self.random.below(4) {
            let (topic, qos) = (TOPICS[self.random.below(3)], QOS[self.random.below(3)]);
            let (payload, qos) = (self.payload(), qos.min(self.qos_max(topic)));
            self.world.publish(publisher, topic, &payload, qos);
        }
    }

    /// Every retained topic has one publisher and one QoS, so that there is a last value.
    fn publish_retained(&mut self) {
        let number = self.random.below(self.publishers.len());
        let payload = if self.random.one_in(5) { String::new() } else { self.payload() };
        let topic = format!("kept/{number}");
        let qos = self.retained_qos[number].min(self.qos_max(&topic));
        self.world.publish_retained(self.publishers[number], &topic, &payload, qos);
    }

    /// What a broker forgets it cannot bring to an end: at QoS 2 a subscriber would wait for PUBREL.
    fn qos_max(&self, topic: &str) -> QoS {
        match self.world.sim.durability_of(topic) {
            Durability::Memory if !self.variety.durability_rules.is_empty() => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        }
    }

    fn publish_job(&mut self) {
        let publisher = self.publisher();
        for _ in 0..1 + self.random.below(4) {
            let (payload, qos) = (self.payload(), QOS[1 + self.random.below(2)]);
            self.world.publish(publisher, "job/one", &payload, qos);
        }
    }

    fn change_subscription(&mut self) {
        let subscriber = self.subscribers[self.random.below(self.subscribers.len())];
        let filter = match self.random.below(6) {
            5 => "kept/#",
            number => FILTERS[number],
        };
        match self.random.below(3) {
            0 => self.world.unsubscribe(subscriber, filter),
            _ => self.world.subscribe(subscriber, filter, QOS[self.random.below(3)]),
        }
    }

    /// Seldom does a subscriber or a worker begin anew; the watcher and one worker never do.
    fn start_clean(&mut self) {
        match self.random.below(4) {
            0 => {
                let subscriber = self.subscribers[self.random.below(self.subscribers.len())];
                self.world.start_clean(subscriber);
            }
            1 if self.workers.len() > 1 => {
                let worker = self.workers[1 + self.random.below(self.workers.len() - 1)];
                self.world.start_clean(worker);
            }
            _ => self.publish(),
        }
    }

    fn publisher(&mut self) -> Handle {
        self.publishers[self.random.below(self.publishers.len())]
    }

    fn anybody(&mut self) -> Handle {
        let all = 1 + self.publishers.len() + self.subscribers.len() + self.workers.len();
        Handle(self.random.below(all))
    }

    fn payload(&mut self) -> String {
        self.published += 1;
        format!("message {}{}", self.published, ".".repeat(self.random.below(self.variety.bytes_max)))
    }

    /// Who comes after everything has settled is given the last values.
    pub(crate) fn check_retained(&mut self) -> Vec<Fault> {
        let newcomer = self.world.connect("newcomer");
        self.newcomer = newcomer;
        self.world.subscribe(newcomer, "kept/#", QoS::ExactlyOnce);
        self.world.run_for(1_000);
        self.world.ledger.check_retained(newcomer.0)
    }
}
