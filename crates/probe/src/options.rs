//! What a run does, with the defaults of each scenario and what contradicts what.

use std::net::IpAddr;
use std::time::Duration;

use noctule_codec::{ProtocolVersion, QoS};
use serde::Serialize;

use crate::frames::PAYLOAD_BYTES_MAX;
use crate::stamp::{FLOWS_MAX, IDENTITY_BYTES};
use crate::{Error, Target};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Each topic has a publisher and a subscriber.
    P2p,
    /// Every subscriber receives what few publishers send.
    FanOut,
    /// Few subscribers receive what many publishers send.
    FanIn,
    /// The subscribers are one shared subscription group.
    Shared,
    /// Connections are opened, held and weighed.
    Connections,
    /// Clients connect and disconnect as fast as they can.
    ConnectRate,
    /// Retained messages are published, then one subscriber receives all of them.
    Retained,
    /// As `P2p`, through a broker that holds many wildcard filters.
    Wildcard,
    /// The queues of offline sessions are filled, then drained.
    Queue,
}

/// What a run does. Made by [`Options::new`] with the scenario's defaults; the fields are for the caller to change.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is measured.
    pub scenario: Scenario,
    /// Where the broker is.
    pub target: Target,
    /// The broker's process on this machine, to state what it uses.
    pub pid: Option<u32>,
    /// The version all clients speak.
    pub version: ProtocolVersion,
    /// QoS of publications and subscriptions.
    pub qos: QoS,
    /// Size of a payload in bytes.
    pub payload_bytes: usize,
    /// Publishing connections.
    pub publishers: u32,
    /// Receiving connections.
    pub subscribers: u32,
    /// Topics; dealt out to publishers and subscribers. None: one per publisher, or per message in `Retained`.
    pub topics: Option<u32>,
    /// Closed loop: messages in flight per publisher; for `ConnectRate` connects in progress.
    pub window: u16,
    /// Open loop: messages per second of all publishers together; replaces `window`.
    pub rate: Option<u64>,
    /// Open loop: so many messages are due at the same time, so that the probe has time between them.
    pub burst: u32,
    /// How long is measured.
    pub duration: Duration,
    /// How long the load runs before it is measured.
    pub warm_up: Duration,
    /// `Connections`: how many.
    pub connections: u32,
    /// `Retained` and `Queue`: how many messages.
    pub messages: u32,
    /// `Wildcard`: how many filters.
    pub filters: u32,
    /// Whether the subscribers' sessions outlive their connections, so that what they are owed is worth keeping.
    pub durable: bool,
    /// `ConnectRate`: clients come back to a session that outlives their connection.
    pub reconnect: bool,
    /// `P2p`: for a broker that deals its clients out to so many threads by FNV-1a of the client id: a publisher and
    /// its subscriber belong to different ones.
    pub homes_apart: Option<u16>,
    /// User name of every client.
    pub user_name: Option<String>,
    /// Password of every client.
    pub password: Option<String>,
    /// Addresses of this machine that connections leave from, in turn.
    pub sources: Vec<IpAddr>,
    /// Without progress for this long, what is missing counts as lost.
    pub patience: Duration,
}

impl Scenario {
    /// Those that send to connected subscribers for a time.
    pub const STEADY: &[Self] = &[Self::P2p, Self::FanOut, Self::FanIn, Self::Shared];
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::P2p,
        Self::FanOut,
        Self::FanIn,
        Self::Shared,
        Self::Connections,
        Self::ConnectRate,
        Self::Retained,
        Self::Wildcard,
        Self::Queue,
    ];

    /// The name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P2p => "p2p",
            Self::FanOut => "fan-out",
            Self::FanIn => "fan-in",
            Self::Shared => "shared",
            Self::Connections => "connections",
            Self::ConnectRate => "connect-rate",
            Self::Retained => "retained",
            Self::Wildcard => "wildcard",
            Self::Queue => "queue",
        }
    }

    /// The default of [`Options::publishers`].
    pub const fn publishers(self) -> u32 {
        match self {
            Self::P2p | Self::Shared | Self::Wildcard => 100,
            Self::FanOut | Self::Queue => 1,
            Self::FanIn => 1_000,
            Self::Retained => 10,
            Self::Connections | Self::ConnectRate => 0,
        }
    }

    /// The default of [`Options::subscribers`].
    pub const fn subscribers(self) -> u32 {
        match self {
            Self::P2p | Self::Wildcard => 100,
            Self::FanOut => 1_000,
            Self::FanIn | Self::Queue | Self::Retained => 1,
            Self::Shared => 10,
            Self::Connections | Self::ConnectRate => 0,
        }
    }

    /// The default of [`Options::window`].
    pub const fn window(self) -> u16 {
        match self {
            Self::FanOut => 8,
            Self::FanIn => 4,
            Self::Retained | Self::Queue => 100,
            _ => 16,
        }
    }

    /// The default of [`Options::qos`].
    pub const fn qos(self) -> QoS {
        match self {
            Self::Queue | Self::Retained => QoS::AtLeastOnce,
            _ => QoS::AtMostOnce,
        }
    }
}

impl Options {
    /// The QoS of subscriptions. Retained messages are received at QoS 0, so that no window is measured.
    pub(crate) fn subscription_qos(&self) -> QoS {
        match self.scenario {
            Scenario::Retained => QoS::AtMostOnce,
            _ => self.qos,
        }
    }

    /// The scenario's defaults against this broker.
    pub const fn new(scenario: Scenario, target: Target) -> Self {
        Self {
            scenario,
            target,
            pid: None,
            version: ProtocolVersion::V3_1_1,
            qos: scenario.qos(),
            payload_bytes: 16,
            publishers: scenario.publishers(),
            subscribers: scenario.subscribers(),
            topics: None,
            window: scenario.window(),
            rate: None,
            burst: 1,
            duration: Duration::from_secs(10),
            warm_up: Duration::from_secs(1),
            connections: 10_000,
            messages: 100_000,
            filters: 100_000,
            durable: false,
            reconnect: false,
            homes_apart: None,
            user_name: None,
            password: None,
            sources: Vec::new(),
            patience: Duration::from_secs(2),
        }
    }

    /// How many topics there are.
    pub(crate) fn topics(&self) -> u32 {
        match self.scenario {
            Scenario::Retained => self.messages,
            Scenario::Connections => self.connections,
            Scenario::ConnectRate => 1,
            _ => self.topics.unwrap_or(self.publishers),
        }
    }

    /// Looks for contradictions.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::Usage(text.to_owned()));
        let has_traffic = !matches!(self.scenario, Scenario::Connections | Scenario::ConnectRate);
        let is_counted = matches!(self.scenario, Scenario::Retained | Scenario::Queue);
        if has_traffic && (self.publishers == 0 || self.subscribers == 0) {
            return refuse("there is at least one publisher and one subscriber");
        }
        if self.topics() == 0 || self.connections == 0 || self.messages == 0 || self.window == 0 {
            return refuse("topics, connections, messages and window are at least 1");
        }
        if self.publishers.max(self.topics()) >= FLOWS_MAX {
            return refuse("publishers, topics and messages with a topic of their own are below 16,777,216");
        }
        if self.payload_bytes > PAYLOAD_BYTES_MAX {
            return refuse("--payload is at most 268,434,431; MQTT packets have no room for more");
        }
        if self.homes_apart.is_some_and(|homes| !(2..=HOMES_MAX).contains(&homes)) {
            return refuse("--homes-apart is 2 to 16; with one home nothing is apart");
        }
        if self.rate == Some(0) {
            return refuse("--rate is at least 1 message per second");
        }
        if self.burst == 0 || self.burst > 1 && self.rate.is_none() {
            return refuse("--burst is at least 1 message, and needs --rate");
        }
        if self.rate.is_some() && (is_counted || !has_traffic) {
            return refuse("--rate is for scenarios that run for a time; this one goes as fast as it can");
        }
        if self.duration.is_zero() {
            return refuse("--seconds is more than 0");
        }
        if self.scenario == Scenario::Queue && self.qos == QoS::AtMostOnce {
            return refuse("only QoS 1 and 2 are owed to a session that is away; use --qos 1 or --qos 2");
        }
        if self.scenario == Scenario::Retained && self.qos == QoS::AtMostOnce {
            return refuse(
                "publications need an acknowledgement, so that all are retained before anybody subscribes (the \
                 subscription is at QoS 0); use --qos 1 or --qos 2",
            );
        }
        if has_traffic && self.payload_bytes < IDENTITY_BYTES && self.topics() < self.publishers {
            return refuse(
                "publishers that share a topic need --payload 8 or more, so that their messages can be told \
                 apart; or use at least as many --topics as --publishers",
            );
        }
        if self.password.is_some() && self.user_name.is_none() && self.version != ProtocolVersion::V5 {
            return refuse("before 5.0 a password needs a user name; add --user");
        }
        Ok(())
    }
}

/// More than these cannot be told apart by the one character of a client id that is free.
const HOMES_MAX: u16 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn options(scenario: Scenario) -> Options {
        Options::new(scenario, "mqtt://localhost".parse().expect("a target"))
    }

    #[test]
    fn the_defaults_of_every_scenario_are_consistent() {
        for scenario in Scenario::ALL {
            options(scenario).check().unwrap_or_else(|error| panic!("{}: {error}", scenario.name()));
        }
    }

    #[test]
    fn contradictions_say_what_to_change() {
        type Change = fn(&mut Options);
        let cases: [(Scenario, Change, &str); 13] = [
            (Scenario::P2p, |options| options.publishers = 0, "at least one publisher"),
            (Scenario::P2p, |options| options.window = 0, "window"),
            (Scenario::P2p, |options| options.rate = Some(0), "--rate"),
            (Scenario::P2p, |options| options.burst = 2, "--burst"),
            (Scenario::P2p, |options| (options.rate, options.burst) = (Some(1), 0), "--burst"),
            (Scenario::P2p, |options| options.duration = Duration::ZERO, "--seconds"),
            (Scenario::P2p, |options| options.homes_apart = Some(1), "--homes-apart"),
            (Scenario::Queue, |options| options.qos = QoS::AtMostOnce, "--qos 1"),
            (Scenario::Retained, |options| options.rate = Some(1), "--rate"),
            (Scenario::Retained, |options| options.qos = QoS::AtMostOnce, "--qos 1"),
            (Scenario::Retained, |options| options.messages = FLOWS_MAX, "16,777,216"),
            (Scenario::P2p, |options| (options.payload_bytes, options.topics) = (7, Some(2)), "--payload 8"),
            (Scenario::P2p, |options| options.password = Some("x".into()), "--user"),
        ];
        for (scenario, change, part) in cases {
            let mut options = options(scenario);
            change(&mut options);
            let text = options.check().expect_err(part).to_string();
            assert!(text.contains(part), "{text}");
        }
    }
}
