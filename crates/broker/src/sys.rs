//! `$SYS/#`: the broker about itself, under the topic names mosquitto's users know.

use noctule_engine::{Directory, Stats};
use noctule_session::Instant;
use std::collections::HashMap;
use std::time::{self, Duration};

/// What is said about the broker from round to round.
#[derive(Debug)]
pub(crate) struct Sys {
    started: time::Instant,
    said: HashMap<String, String>,
    loads: Vec<Load>,
    last_round: time::Instant,
}

/// When `$SYS` is published, and the round that is being counted.
#[derive(Debug)]
pub(crate) struct SysRounds {
    sys: Sys,
    interval_millis: u64,
    next: Instant,
    /// The sum so far, and how many shards have not been counted in.
    counted: Stats,
    missing: u16,
}

/// A moving average per minute of one counter, as mosquitto computes its loads.
#[derive(Debug)]
struct Load {
    name: &'static str,
    counter: fn(&Stats) -> u64,
    last: u64,
    per_minute: [f64; 3],
}

/// What the directory knows beside the counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    /// Retained messages, the broker's own included.
    pub(crate) retained_messages: u64,
    /// Bytes of retained messages of clients.
    pub(crate) retained_bytes: u64,
    /// The most clients that were connected at once.
    pub(crate) clients_maximum: u64,
}

impl SysRounds {
    /// Rounds at this interval, the first one at once.
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            sys: Sys::new(time::Instant::now()),
            interval_millis: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            next: Instant::from_millis(0),
            counted: Stats::default(),
            missing: 0,
        }
    }

    /// Has rounds at this interval from the next one on.
    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.interval_millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    }

    /// When the next round begins.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Begins a round if it is due; what so many shards have counted is to be added. While one of them has not
    /// answered the last round there is no other: its answer would count in both.
    pub(crate) fn begin(&mut self, now: Instant, shards: u16) -> bool {
        if self.next > now {
            return false;
        }
        self.next = now + self.interval_millis;
        let begins = self.missing == 0;
        if begins {
            (self.counted, self.missing) = (Stats::default(), shards);
        }
        begins
    }

    /// Adds what a shard has counted. With the last one comes what is to be published.
    pub(crate) fn add(&mut self, stats: &Stats, directory: &Directory) -> Vec<(String, String)> {
        // An answer that nobody waits for was asked for before rounds were turned off and on again.
        if self.missing == 0 {
            return Vec::new();
        }
        self.counted.add(stats);
        self.missing -= 1;
        if self.missing > 0 {
            return Vec::new();
        }
        let held = Held {
            retained_messages: directory.retained.read(|retained| retained.len() as u64),
            retained_bytes: directory.retained_bytes(),
            clients_maximum: directory.clients_maximum(),
        };
        self.sys.round(&self.counted, held, time::Instant::now())
    }
}

impl Sys {
    /// A broker that starts now.
    pub(crate) fn new(now: time::Instant) -> Self {
        Self { started: now, said: HashMap::new(), loads: loads(), last_round: now }
    }

    /// The topics and values that have changed since the last round.
    pub(crate) fn round(&mut self, stats: &Stats, held: Held, now: time::Instant) -> Vec<(String, String)> {
        let elapsed = now.duration_since(self.last_round);
        self.last_round = now;
        let mut values = self.values(stats, held, now);
        for load in &mut self.loads {
            load.advance(stats, elapsed);
            let names = [("1min", 0), ("5min", 1), ("15min", 2)];
            values.extend(names.map(|(name, i)| {
                (format!("$SYS/broker/load/{}/{name}", load.name), format!("{:.2}", load.per_minute[i]))
            }));
        }
        values.retain(|(topic, value)| self.said.get(topic) != Some(value));
        self.said.extend(values.iter().cloned());
        values
    }

    fn values(&self, stats: &Stats, held: Held, now: time::Instant) -> Vec<(String, String)> {
        let uptime = now.duration_since(self.started).as_secs();
        let offline = stats.sessions.saturating_sub(stats.clients_connected);
        let numbers = [
            ("clients/total", stats.sessions),
            ("clients/connected", stats.clients_connected),
            ("clients/active", stats.clients_connected),
            ("clients/disconnected", offline),
            ("clients/inactive", offline),
            ("clients/maximum", held.clients_maximum),
            ("clients/expired", stats.sessions_expired),
            ("messages/received", stats.packets_received),
            ("messages/sent", stats.packets_sent),
            ("publish/messages/received", stats.publishes_received),
            ("publish/messages/sent", stats.publishes_sent),
            ("publish/messages/dropped", stats.drops_total()),
            ("publish/bytes/received", stats.publish_bytes_received),
            ("bytes/received", stats.bytes_received),
            ("bytes/sent", stats.bytes_sent),
            ("subscriptions/count", stats.subscriptions),
            ("shared_subscriptions/count", stats.shared_subscriptions),
            ("retained messages/count", held.retained_messages),
            ("store/messages/count", held.retained_messages),
            ("store/messages/bytes", held.retained_bytes),
            // Mosquitto has no names for these.
            ("clients/refused", stats.refused),
            ("clients/connects_delayed", stats.connects_delayed),
            ("clients/takeovers", stats.takeovers),
            ("clients/takeovers_delayed", stats.takeovers_delayed),
            ("clients/pauses", stats.pauses),
            ("routes/hits", stats.route_hits),
            ("routes/misses", stats.route_misses),
        ];
        let mut values = vec![
            ("$SYS/broker/version".to_owned(), format!("noctule version {}", env!("CARGO_PKG_VERSION"))),
            ("$SYS/broker/uptime".to_owned(), format!("{uptime} seconds")),
        ];
        values.extend(numbers.map(|(name, value)| (format!("$SYS/broker/{name}"), value.to_string())));
        values
    }
}

impl Load {
    /// Lets the averages follow the counter: each forgets with its own time constant.
    fn advance(&mut self, stats: &Stats, elapsed: Duration) {
        let value = (self.counter)(stats);
        let seconds = elapsed.as_secs_f64();
        let grown = value - self.last;
        self.last = value;
        if seconds <= 0.0 {
            return;
        }
        let per_minute = grown as f64 * 60.0 / seconds;
        for (average, minutes) in self.per_minute.iter_mut().zip([1.0, 5.0, 15.0]) {
            let kept = (-seconds / (60.0 * minutes)).exp();
            *average = per_minute + kept * (*average - per_minute);
        }
    }
}

fn loads() -> Vec<Load> {
    let load = |name, counter| Load { name, counter, last: 0, per_minute: [0.0; 3] };
    vec![
        load("messages/received", |stats| stats.packets_received),
        load("messages/sent", |stats| stats.packets_sent),
        load("publish/received", |stats| stats.publishes_received),
        load("publish/sent", |stats| stats.publishes_sent),
        load("publish/dropped", Stats::drops_total),
        load("bytes/received", |stats| stats.bytes_received),
        load("bytes/sent", |stats| stats.bytes_sent),
        load("connections", |stats| stats.connects),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_says_everything_and_the_next_only_what_changed() {
        let start = time::Instant::now();
        let mut sys = Sys::new(start);
        let mut stats = Stats::default();
        let first = sys.round(&stats, Held::default(), start);
        let is_version = |topic: &str, value: &str| {
            topic == "$SYS/broker/version" && value.starts_with("noctule version ")
        };
        assert!(first.iter().any(|(topic, value)| is_version(topic, value)));
        assert!(first.contains(&("$SYS/broker/clients/connected".to_owned(), "0".to_owned())));

        stats.clients_connected = 3;
        (stats.route_hits, stats.route_misses) = (40, 2);
        let second = sys.round(&stats, Held::default(), start);
        assert_eq!(second.len(), 4, "{second:?}");
        assert!(second.contains(&("$SYS/broker/routes/hits".to_owned(), "40".to_owned())));
        assert!(second.contains(&("$SYS/broker/routes/misses".to_owned(), "2".to_owned())));
        assert!(second.contains(&("$SYS/broker/clients/connected".to_owned(), "3".to_owned())));
    }

    #[test]
    fn a_shard_that_answers_late_is_counted_once() {
        let (directory, second) = (Directory::new::<crate::locks::Locks>(2), 1_000);
        let mut rounds = SysRounds::new(Duration::from_millis(second));
        let said = |rounds: &mut SysRounds, bytes_sent| {
            let stats = Stats { bytes_sent, ..Stats::default() };
            let said = rounds.add(&stats, &directory);
            said.into_iter().find(|(topic, _)| topic == "$SYS/broker/bytes/sent").map(|(_, value)| value)
        };
        let at = |seconds: u64| Instant::from_millis(seconds * second);
        assert!(rounds.begin(at(1), 2));
        assert_eq!(said(&mut rounds, 10), None);
        assert!(!rounds.begin(at(2), 2), "one shard has not answered");
        assert_eq!(rounds.next(), at(3));
        assert_eq!(said(&mut rounds, 100).as_deref(), Some("110"));
        assert_eq!(said(&mut rounds, 100), None, "nobody asked");
        assert!(rounds.begin(at(3), 2));
        assert_eq!(said(&mut rounds, 11), None);
        assert_eq!(said(&mut rounds, 101).as_deref(), Some("112"));
    }

    #[test]
    fn a_steady_rate_becomes_the_load_of_a_minute() {
        let start = time::Instant::now();
        let mut sys = Sys::new(start);
        let mut stats = Stats::default();
        let mut said = Vec::new();
        for second in 1..=600 {
            stats.publishes_received += 10;
            said.extend(sys.round(&stats, Held::default(), start + Duration::from_secs(second)));
        }
        let load = said.iter().rfind(|(topic, _)| topic == "$SYS/broker/load/publish/received/1min");
        let load: f64 = load.expect("it is said").1.parse().expect("a number");
        assert!((599.0..=600.1).contains(&load), "{load}");
    }
}
