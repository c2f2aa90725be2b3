//! Whole brokers with clients of every kind over a network that breaks, thousands of times over.
//!
//! A seed decides everything. One that fails is printed with the command that runs it again:
//! `NOCTULE_SEED=… cargo test -p noctule-testkit --test it chaos`. `NOCTULE_SEEDS=n` runs n of them.

use noctule_codec::{ProtocolVersion, QoS};
use noctule_session::Limits;
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
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    match number("NOCTULE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("NOCTULE_SEEDS").unwrap_or(default),
    }
}

#[test]
fn every_promise_is_kept_over_a_network_that_breaks() {
    for seed in seeds(1000) {
        for shards in [1, 3] {
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

/// A broker and its clients with what they are about to do.
struct Chaos {
    world: World,
    random: Random,
    watcher: Handle,
    publishers: Vec<Handle>,
    subscribers: Vec<Handle>,
    workers: Vec<Handle>,
    retained_qos: Vec<QoS>,
    published: u32,
}

impl Chaos {
    fn new(seed: u64, shards: u16, mangle: Option<Mangle>) -> Self {
        let mut random = Random::new(seed.wrapping_mul(31) ^ u64::from(shards));
        let limits = Limits {
            receive_maximum: 1 + random.below(20) as u16,
            inflight_messages_max: 1 + random.below(20) as u16,
            inflight_messages_max_v3: 1 + random.below(5) as u16,
            output_bytes_max: 64 << random.below(8),
            ..Limits::default()
        };
        let faults = Faults {
            latency_millis_max: random.below(60),
            spared_one_in: random.below(4),
            bytes_until_cut: 100 + random.below(900),
            notice_millis_max: 4_000,
            slow_reader_one_in: random.below(5),
            fragments: random.one_in(2),
            mangle,
        };
        let sim = SimOptions { seed, shards, limits, shuffled: true, ..SimOptions::default() };
        let mut chaos = Self {
            world: World::with(WorldOptions { sim, faults }),
            random,
            watcher: Handle(0),
            publishers: Vec::new(),
            subscribers: Vec::new(),
            workers: Vec::new(),
            retained_qos: Vec::new(),
            published: 0,
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
        self.world.connect_with(ClientOptions {
            client_id: client_id.into(),
            version: VERSIONS[self.random.below(3)],
            durable,
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
    fn log(&self) -> String {
        let entries = self.world.ledger.entries.iter().enumerate();
        match std::env::var_os("NOCTULE_SEED") {
            Some(_) => entries.map(|(at, entry)| format!("{at} {entry}\n")).collect(),
            None => String::new(),
        }
    }

    /// The records give the sessions back, whenever no mail is on its way.
    fn replay(&self) -> Result<(), String> {
        check_replay(&self.world.sim.records, self.world.sim.sessions())
    }

    fn act(&mut self) {
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
            let payload = self.payload();
            self.world.publish(publisher, topic, &payload, qos);
        }
    }

    /// Every retained topic has one publisher and one QoS, so that there is a last value.
    fn publish_retained(&mut self) {
        let number = self.random.below(self.publishers.len());
        let payload = if self.random.one_in(5) { String::new() } else { self.payload() };
        let (topic, qos) = (format!("kept/{number}"), self.retained_qos[number]);
        self.world.publish_retained(self.publishers[number], &topic, &payload, qos);
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
        format!("message {}{}", self.published, ".".repeat(self.random.below(40)))
    }

    /// Who comes after everything has settled is given the last values.
    fn check_retained(&mut self) -> Vec<Fault> {
        let newcomer = self.world.connect("newcomer");
        self.world.subscribe(newcomer, "kept/#", QoS::ExactlyOnce);
        self.world.run_for(1_000);
        self.world.ledger.check_retained(newcomer.0)
    }
}
