//! The command line of `noctule bench`: one table of flags, and which scenario takes which.

use clap::{Arg, ArgAction, Command};
use noctule_probe::{Options, Scenario};

use Scenario::{ConnectRate, Connections, FanIn, FanOut, P2p, Queue, Retained, Shared, Wildcard};

/// `bench` with a subcommand per scenario.
pub(crate) fn command() -> Command {
    Command::new("bench")
        .about("Measures any MQTT broker from outside: rate, latency, losses, processor time and memory")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_help_heading("Scenarios")
        .subcommand_value_name("SCENARIO")
        .disable_help_subcommand(true)
        .subcommands(Scenario::ALL.map(scenario_command))
        .after_help(GENERAL_HELP)
}

fn scenario_command(scenario: Scenario) -> Command {
    let flags = FLAGS.iter().filter(|flag| flag.scenarios.contains(&scenario));
    Command::new(scenario.name())
        .about(about(scenario))
        .args(flags.map(|flag| flag.arg(scenario)))
        .after_help(format!("Examples:\n{}\n{EXIT_CODES}", examples(scenario)))
}

/// One flag, and where it makes sense.
struct Flag {
    name: &'static str,
    /// None for a switch.
    value_name: Option<&'static str>,
    help: &'static str,
    scenarios: &'static [Scenario],
    default: fn(&Options) -> Option<String>,
}

impl Flag {
    fn arg(&self, scenario: Scenario) -> Arg {
        let target = DEFAULT_URL.parse().expect("the default is a target");
        let default = (self.default)(&Options::new(scenario, target));
        let default = default.map(|value| format!(" [default: {value}]")).unwrap_or_default();
        let arg = Arg::new(self.name).long(self.name).help(format!("{}{default}", self.help));
        match self.value_name {
            None => arg.action(ArgAction::SetTrue),
            Some(value_name) if self.name == VS => arg.value_name(value_name).action(ArgAction::Append),
            Some(value_name) => arg.value_name(value_name),
        }
    }
}

const FLAGS: &[Flag] = &[
    Flag {
        name: URL,
        value_name: Some("URL"),
        help: "The broker: mqtt://HOST:PORT",
        scenarios: &Scenario::ALL,
        default: |_| Some(DEFAULT_URL.to_owned()),
    },
    Flag {
        name: PID,
        value_name: Some("PID"),
        help: "Process of the broker on this machine, to state its processor time and memory",
        scenarios: &Scenario::ALL,
        default: |_| None,
    },
    Flag {
        name: PUBLISHERS,
        value_name: Some("N"),
        help: "Publishing connections",
        scenarios: TRAFFIC,
        default: |options| Some(options.publishers.to_string()),
    },
    Flag {
        name: SUBSCRIBERS,
        value_name: Some("N"),
        help: "Receiving connections",
        scenarios: TRAFFIC,
        default: |options| Some(options.subscribers.to_string()),
    },
    Flag {
        name: TOPICS,
        value_name: Some("N"),
        help: "Topics, dealt out to publishers and subscribers [default: one per publisher]",
        scenarios: &[P2p, FanOut, FanIn, Shared, Wildcard, Queue],
        default: |_| None,
    },
    Flag {
        name: CONNECTIONS,
        value_name: Some("N"),
        help: "Connections, each with a session and one subscription",
        scenarios: &[Connections],
        default: |options| Some(options.connections.to_string()),
    },
    Flag {
        name: MESSAGES,
        value_name: Some("N"),
        help: "Messages; in `retained` each has a topic of its own",
        scenarios: &[Retained, Queue],
        default: |options| Some(options.messages.to_string()),
    },
    Flag {
        name: FILTERS,
        value_name: Some("N"),
        help: "Wildcard filters the broker holds besides those of the subscribers",
        scenarios: &[Wildcard],
        default: |options| Some(options.filters.to_string()),
    },
    Flag {
        name: RECONNECT,
        value_name: None,
        help: "Clients come back to a session that outlives their connection, instead of clean starts",
        scenarios: &[ConnectRate],
        default: |_| None,
    },
    Flag {
        name: DURABLE,
        value_name: None,
        help: "Subscribers have sessions that outlive their connections, so that what they are owed is worth keeping",
        scenarios: &[P2p, FanOut, FanIn, Shared],
        default: |_| None,
    },
    Flag {
        name: QOS,
        value_name: Some("0|1|2"),
        help: "QoS of publications and subscriptions",
        scenarios: TRAFFIC,
        default: |options| Some((options.qos as u8).to_string()),
    },
    Flag {
        name: PAYLOAD,
        value_name: Some("BYTES"),
        help: "Size of a payload; below 16 no latency is measured, below 8 losses are only counted",
        scenarios: TRAFFIC,
        default: |options| Some(options.payload_bytes.to_string()),
    },
    Flag {
        name: MQTT,
        value_name: Some("3.1|3.1.1|5"),
        help: "Version all clients speak",
        scenarios: &Scenario::ALL,
        default: |_| Some("3.1.1".to_owned()),
    },
    Flag {
        name: WINDOW,
        value_name: Some("N"),
        help: "Closed loop: messages in flight per publisher. A message is in flight until the first \
               subscriber has it and, at QoS 1 and 2, it is acknowledged; at QoS 0 the delivery alone closes \
               the window",
        scenarios: TRAFFIC,
        default: |options| Some(options.window.to_string()),
    },
    Flag {
        name: AT_A_TIME,
        value_name: Some("N"),
        help: "Clients that connect and disconnect at the same time",
        scenarios: &[ConnectRate],
        default: |options| Some(options.window.to_string()),
    },
    Flag {
        name: RATE,
        value_name: Some("N"),
        help: "Open loop: messages per second of all publishers together, instead of --window. Latency counts \
               from when a message was due, so a stall of the broker is charged in full",
        scenarios: STEADY,
        default: |_| None,
    },
    Flag {
        name: BURST,
        value_name: Some("N"),
        help: "Open loop: so many messages are due at the same time, dealt out to the publishers in turn",
        scenarios: STEADY,
        default: |options| Some(options.burst.to_string()),
    },
    Flag {
        name: SECONDS,
        value_name: Some("S"),
        help: "How long is measured, in seconds",
        scenarios: TIMED,
        default: |options| Some(options.duration.as_secs_f64().to_string()),
    },
    Flag {
        name: WARM_UP,
        value_name: Some("S"),
        help: "How long the load runs before it is measured, in seconds",
        scenarios: &[P2p, FanOut, FanIn, Shared, Wildcard, ConnectRate],
        default: |options| Some(options.warm_up.as_secs_f64().to_string()),
    },
    Flag {
        name: HOMES_APART,
        value_name: Some("N"),
        help: "For a broker that deals its clients out to N threads by FNV-1a of the client id, as noctule does: \
               a publisher and its subscriber belong to different ones, so every message crosses",
        scenarios: &[P2p],
        default: |_| None,
    },
    Flag {
        name: USER,
        value_name: Some("NAME"),
        help: "User name of every client",
        scenarios: &Scenario::ALL,
        default: |_| None,
    },
    Flag {
        name: PASSWORD,
        value_name: Some("PASSWORD"),
        help: "Password of every client",
        scenarios: &Scenario::ALL,
        default: |_| None,
    },
    Flag {
        name: SOURCE,
        value_name: Some("ADDR[,ADDR..]"),
        help: "Addresses of this machine that connections leave from, in turn; each has about 28,000 ports, so \
               more connections need several, such as 127.0.0.1,127.0.0.2",
        scenarios: &Scenario::ALL,
        default: |_| None,
    },
    Flag {
        name: JSON,
        value_name: None,
        help: "Print one JSON object; docs/bench.md describes it",
        scenarios: &Scenario::ALL,
        default: |_| None,
    },
    Flag {
        name: VS,
        value_name: Some("NAME=URL[,pid=PID]"),
        help: "Another broker to compare with, round by round; repeatable",
        scenarios: &Scenario::ALL,
        default: |_| None,
    },
    Flag {
        name: NAME,
        value_name: Some("NAME"),
        help: "What the broker at --url is called in a comparison [default: broker]",
        scenarios: &Scenario::ALL,
        default: |_| None,
    },
    Flag {
        name: ROUNDS,
        value_name: Some("N"),
        help: "Rounds of a comparison [default: 3]",
        scenarios: &Scenario::ALL,
        default: |_| None,
    },
];

fn about(scenario: Scenario) -> &'static str {
    match scenario {
        P2p => "Each topic has one publisher and one subscriber",
        FanOut => "Every subscriber receives what few publishers send",
        FanIn => "Few subscribers receive what many publishers send",
        Shared => "The subscribers are one shared subscription group, so each message goes to one of them",
        Connections => "Opens idle connections with a session and one subscription, holds and weighs them",
        ConnectRate => "Connects and disconnects as fast as the broker lets it",
        Retained => "Publishes retained messages, then receives them all with one `#` subscription",
        Wildcard => "As p2p, through a broker that holds many wildcard filters",
        Queue => "Fills the queues of offline sessions, then drains them",
    }
}

fn examples(scenario: Scenario) -> &'static str {
    match scenario {
        P2p => {
            "  noctule bench p2p --qos 1 --window 16 --pid \"$(pgrep -x noctule)\"
  noctule bench p2p --rate 50000 --seconds 60 --json
  noctule bench p2p --vs mosquitto=mqtt://localhost:1884,pid=4711 --rounds 5
"
        }
        FanOut => "  noctule bench fan-out --subscribers 1000 --window 8\n",
        FanIn => "  noctule bench fan-in --publishers 1000 --qos 1 --window 4\n",
        Shared => "  noctule bench shared --subscribers 10 --rate 20000\n",
        Connections => {
            "  noctule bench connections --connections 10000 --pid \"$(pgrep -x noctule)\"
  noctule bench connections --connections 100000 --source 127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4
"
        }
        ConnectRate => {
            "  noctule bench connect-rate --at-a-time 64\n  noctule bench connect-rate --reconnect\n"
        }
        Retained => "  noctule bench retained --messages 100000 --pid \"$(pgrep -x noctule)\"\n",
        Wildcard => {
            "  noctule bench wildcard --filters 1000
  noctule bench wildcard --filters 1000000
"
        }
        Queue => "  noctule bench queue --messages 50000 --qos 1 --subscribers 10\n",
    }
}

/// Scenarios with publishers and subscribers.
const TRAFFIC: &[Scenario] = &[P2p, FanOut, FanIn, Shared, Retained, Wildcard, Queue];
/// Those of them that go on for a time.
const STEADY: &[Scenario] = &[P2p, FanOut, FanIn, Shared, Wildcard];
/// Scenarios that go on for a time.
const TIMED: &[Scenario] = &[P2p, FanOut, FanIn, Shared, Wildcard, Connections, ConnectRate];

const GENERAL_HELP: &str = "\
Examples:
  noctule bench p2p --qos 1 --seconds 10
  noctule bench fan-out --subscribers 1000 --rate 100 --json
  noctule bench connections --connections 10000 --pid \"$(pgrep -x noctule)\"
  noctule bench p2p --help

Exit codes:
  0  nothing was lost, duplicated, out of order, refused or disconnected
  1  something was (the report says what), or the broker could not be reached
  2  the command line is wrong";

const EXIT_CODES: &str = "\
Units: rates are per second, sizes in bytes, times in seconds, latencies in microseconds.
Exit codes: 0 nothing lost or refused, 1 something was or the broker could not be reached, 2 wrong command line.";

pub(super) const DEFAULT_URL: &str = "mqtt://localhost:1883";

pub(super) const URL: &str = "url";
pub(super) const PID: &str = "pid";
pub(super) const PUBLISHERS: &str = "publishers";
pub(super) const SUBSCRIBERS: &str = "subscribers";
pub(super) const TOPICS: &str = "topics";
pub(super) const CONNECTIONS: &str = "connections";
pub(super) const MESSAGES: &str = "messages";
pub(super) const FILTERS: &str = "filters";
pub(super) const DURABLE: &str = "durable";
pub(super) const RECONNECT: &str = "reconnect";
pub(super) const QOS: &str = "qos";
pub(super) const PAYLOAD: &str = "payload";
pub(super) const MQTT: &str = "mqtt";
pub(super) const WINDOW: &str = "window";
pub(super) const AT_A_TIME: &str = "at-a-time";
pub(super) const RATE: &str = "rate";
pub(super) const BURST: &str = "burst";
pub(super) const SECONDS: &str = "seconds";
pub(super) const WARM_UP: &str = "warm-up";
pub(super) const HOMES_APART: &str = "homes-apart";
pub(super) const USER: &str = "user";
pub(super) const PASSWORD: &str = "password";
pub(super) const SOURCE: &str = "source";
pub(super) const JSON: &str = "json";
pub(super) const VS: &str = "vs";
pub(super) const NAME: &str = "name";
pub(super) const ROUNDS: &str = "rounds";
