//! The one table of flags: names, who has them, what they take, their help and what they set.
//!
//! The first name of a row is the one that errors use. `also` are the names that other tools know it by.

use crate::format::Format;
use crate::numbers::{leading_decimal, leading_integer, whole_integer};
use crate::program::Tool;
use crate::settings::{PasswordPlace, Payload, Settings, Speed};
use crate::top::SortKey;
use noctule_codec::{ProtocolVersion, QoS, RetainHandling};
use noctule_topic::{Subscription, TopicName};
use std::path::PathBuf;
use std::time::Duration;

/// One flag.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its names, with their hyphens. Errors use the first.
    pub names: &'static [&'static str],
    /// Names of other tools for the same.
    pub also: &'static [&'static str],
    /// Who has it.
    pub tools: &'static [Tool],
    /// What follows it.
    pub takes: Takes,
    /// Values worth offering where one is being typed: all there are, or the usual ones.
    pub offers: &'static [&'static str],
    /// Under which heading help shows it.
    pub group: Group,
    /// What it does, for help.
    pub help: &'static str,
    /// Sets it.
    pub(crate) set: fn(&mut Settings, &[u8]) -> Result<(), Wrong>,
}

/// What follows a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// One word.
    Word {
        /// How help calls it.
        called: &'static str,
        /// What errors call it when it is missing.
        missing: &'static str,
    },
    /// A packet, a property and its value, or two for a user property.
    Property,
    /// Nothing, and help is shown.
    Help,
    /// Nothing, and the version is shown.
    Version,
}

/// Headings of help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What is published.
    Message,
    /// What is subscribed.
    Subscription,
    /// What is printed.
    Output,
    /// When it is over.
    End,
    /// How a recording is replayed.
    Replay,
    /// What the spy stands between.
    Spy,
    /// Where the broker is.
    Server,
    /// Who the client is, and its session.
    Session,
    /// The will.
    Will,
    /// TLS.
    Tls,
    /// The tool itself.
    Tool,
}

impl Group {
    /// All of them with their headings, in the order of help.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Message, "Message"),
        (Self::Subscription, "Subscription"),
        (Self::Output, "Output"),
        (Self::End, "End"),
        (Self::Replay, "Replay"),
        (Self::Spy, "Between clients and a broker"),
        (Self::Server, "Server"),
        (Self::Session, "Client and session"),
        (Self::Will, "Will"),
        (Self::Tls, "TLS"),
        (Self::Tool, "The tool itself"),
    ];
}

/// What is wrong with a word, as the user is told behind `Error: `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong(pub(crate) String);

impl Flag {
    /// The flag with this name, among those of a tool.
    pub fn find(tool: Tool, name: &[u8]) -> Option<&'static Self> {
        let is_it = |flag: &&Self| flag.all_names().any(|own| own.as_bytes() == name);
        Self::of(tool).find(is_it)
    }

    /// The flags of a tool.
    pub fn of(tool: Tool) -> impl Iterator<Item = &'static Self> {
        FLAGS.iter().filter(move |flag| flag.tools.contains(&tool))
    }

    /// Every name it has.
    pub fn all_names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().chain(self.also).copied()
    }
}

/// A row that takes a word.
const fn word(
    names: &'static [&'static str],
    (called, missing): (&'static str, &'static str),
    (group, tools): (Group, &'static [Tool]),
    help: &'static str,
    set: fn(&mut Settings, &[u8]) -> Result<(), Wrong>,
) -> Flag {
    Flag { names, also: &[], tools, takes: Takes::Word { called, missing }, offers: &[], group, help, set }
}

/// A row that takes nothing.
const fn switch(
    names: &'static [&'static str],
    (group, tools): (Group, &'static [Tool]),
    help: &'static str,
    set: fn(&mut Settings, &[u8]) -> Result<(), Wrong>,
) -> Flag {
    Flag { names, also: &[], tools, takes: Takes::Nothing, offers: &[], group, help, set }
}

impl Flag {
    const fn or(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }

    const fn offering(self, offers: &'static [&'static str]) -> Self {
        Self { offers, ..self }
    }
}

const PUB: &[Tool] = &[Tool::Pub];
const SUB: &[Tool] = &[Tool::Sub];
const REQUEST: &[Tool] = &[Tool::Request];
const PUBLISHERS: &[Tool] = &[Tool::Pub, Tool::Request];
const SUBSCRIBERS: &[Tool] = &[Tool::Sub, Tool::Request];
const RECORD: &[Tool] = &[Tool::Record];
const REPLAY: &[Tool] = &[Tool::Replay];
/// Those that hear what a filter brings.
const LISTENERS: &[Tool] = &[Tool::Sub, Tool::Record, Tool::Tree, Tool::Top];
const WATCHERS: &[Tool] = &[Tool::Record, Tool::Tree, Tool::Top];
const TREE: &[Tool] = &[Tool::Tree];
const TOP: &[Tool] = &[Tool::Top];
const REPORTERS: &[Tool] = &[Tool::Spy, Tool::Tree, Tool::Top];
const COUNTERS: &[Tool] = &[Tool::Sub, Tool::Record];
const RETAINED: &[Tool] = &[Tool::Sub, Tool::Request, Tool::Record, Tool::Tree, Tool::Top];
/// Those that choose a QoS. A recording brings its own.
const CHOOSERS: &[Tool] = &[Tool::Pub, Tool::Sub, Tool::Request, Tool::Record, Tool::Tree, Tool::Top];
const SPY: &[Tool] = &[Tool::Spy];
/// Those that speak MQTT themselves.
const CLIENTS: &[Tool] =
    &[Tool::Pub, Tool::Sub, Tool::Request, Tool::Record, Tool::Replay, Tool::Tree, Tool::Top];
/// Those that have standard output free for lines about packets.
const TALKERS: &[Tool] = &[Tool::Pub, Tool::Sub, Tool::Request, Tool::Record, Tool::Replay];
const ALL: &[Tool] = &Tool::ALL;

/// Every flag.
#[rustfmt::skip]
pub static FLAGS: &[Flag] = &[
    // Message
    word(&["-t", "--topic"], ("TOPIC", "no topic specified"), (Group::Message, PUBLISHERS),
        "The topic to publish to.", |s, v| { s.topic = Some(name("-t", "publish", v)?); Ok(()) }),
    word(&["-e"], ("TOPIC", "no response topic specified"), (Group::Message, REQUEST),
        "The topic on which the answer comes.",
        |s, v| { s.response_topic = Some(name("-e", "response", v)?); Ok(()) }).or(&["--response-topic"]),
    word(&["-m", "--message"], ("TEXT", "no message specified"), (Group::Message, PUBLISHERS),
        "Publishes this text.", |s, v| payload(s, Payload::Bytes(v.to_vec()))).or(&["--payload"]),
    word(&["-f", "--file"], ("FILE", "no file specified"), (Group::Message, PUBLISHERS),
        "Publishes what this file holds.", |s, v| payload(s, Payload::File(path(v)))),
    switch(&["-s", "--stdin-file"], (Group::Message, PUBLISHERS),
        "Publishes the whole of standard input as one message.", |s, _| payload(s, Payload::Stdin)).or(&["--stdin"]),
    switch(&["-l", "--stdin-line"], (Group::Message, PUB),
        "Publishes each line of standard input as a message.", |s, _| payload(s, Payload::Lines)),
    switch(&["-n", "--null-message"], (Group::Message, PUBLISHERS),
        "Publishes an empty message; with -r it clears what is retained.",
        |s, _| payload(s, Payload::Bytes(Vec::new()))),
    switch(&["-r", "--retain"], (Group::Message, PUB),
        "Has the broker keep the message for later subscribers.", |s, _| { s.retain = true; Ok(()) }),
    word(&["--repeat"], ("N", "no count specified"), (Group::Message, PUB),
        "Publishes the message so often.",
        |s, v| at_least_one(v, "--repeat argument must be >0.").map(|n| s.repeat = n)),
    word(&["--repeat-delay"], ("SECONDS", "no time specified"), (Group::Message, PUB),
        "Waits so long between repetitions, fractions allowed.", |s, v| { s.repeat_delay = delay(v)?; Ok(()) }),
    switch(&["--latency"], (Group::Message, REQUEST),
        "Prints how long the answer took.", |s, _| { s.latency = true; Ok(()) }),
    // Subscription
    word(&["-t", "--topic"], ("FILTER", "no topic specified"), (Group::Subscription, LISTENERS),
        "Subscribes to this topic filter; repeatable.",
        |s, v| { s.filters.push(filter("-t", "subscription", v)?); Ok(()) }),
    word(&["-T", "--filter-out"], ("FILTER", "no topic filter specified"), (Group::Subscription, LISTENERS),
        "Leaves out messages on topics that match; repeatable.",
        |s, v| { s.filters_out.push(filter("-T", "filter", v)?); Ok(()) }),
    word(&["-U", "--unsubscribe"], ("FILTER", "no unsubscribe topic specified"), (Group::Subscription, SUB),
        "Unsubscribes from this topic filter of a kept session; repeatable.",
        |s, v| { s.filters_left.push(filter("-U", "unsubscribe", v)?); Ok(()) }),
    switch(&["-R"], (Group::Subscription, RETAINED),
        "Leaves out retained messages.",
        |s, _| { s.no_retained = true; s.retain_handling = RetainHandling::DoNotSend; Ok(()) }),
    switch(&["--retained-only"], (Group::Subscription, SUB),
        "Prints retained messages only, and ends at the first other one.", |s, _| { s.retained_only = true; Ok(()) }),
    switch(&["--remove-retained"], (Group::Subscription, SUB),
        "Clears the retained messages that come.", |s, _| { s.remove_retained = true; Ok(()) }),
    switch(&["--retain-as-published"], (Group::Subscription, SUBSCRIBERS),
        "Shows the retain flag as the publisher set it. MQTT 5 only.", |s, _| { s.retain_as_published = true; Ok(()) }),
    word(&["--retain-handling"], ("WHEN", "no handling specified"), (Group::Subscription, SUBSCRIBERS),
        "When retained messages are sent: always, new (only to a new subscription) or never. MQTT 5 only.",
        |s, v| { s.retain_handling = retain_handling(v)?; Ok(()) }).offering(&["always", "new", "never"]),
    // Output
    switch(&["-v", "--verbose"], (Group::Output, SUBSCRIBERS),
        "Prints the topic in front of the payload.", |s, _| { s.verbose = true; Ok(()) }),
    switch(&["-N"], (Group::Output, SUBSCRIBERS),
        "Prints no line end behind a message.", |s, _| { s.end_of_line = false; Ok(()) }),
    word(&["-F"], ("FORMAT", "no format specified"), (Group::Output, SUBSCRIBERS),
        "Prints messages in this format; see below.",
        |s, v| {
            s.format = Some(Format::parse(v).map_err(|error| Wrong(error.to_string()))?);
            Ok(())
        }).or(&["--format"]),
    switch(&["--pretty"], (Group::Output, SUBSCRIBERS),
        "Lays out the JSON of %j and %J on several lines.", |s, _| { s.pretty = true; Ok(()) }),
    word(&["--random-filter"], ("PERCENT", "no chance specified"), (Group::Output, SUB),
        "Prints this share of the messages, 0.1 to 100, chosen by chance.",
        |s, v| { s.random_filter = chance(v)?; Ok(()) }),
    switch(&["-w", "--watch"], (Group::Output, SUB),
        "Keeps each topic on a line of its own, for a terminal.", |s, _| { s.watch = true; Ok(()) }),
    switch(&["--message-rate"], (Group::Output, SUB),
        "Prints how many messages came, each second, instead of the messages.",
        |s, _| { s.message_rate = true; Ok(()) }),
    // End
    word(&["-C"], ("N", "no count specified"), (Group::End, COUNTERS),
        "Ends after so many messages.", |s, v| { s.count = Some(count(v)?); Ok(()) }).or(&["--count"]),
    word(&["-W"], ("SECONDS", "no timeout specified"), (Group::End, SUBSCRIBERS),
        "Ends after so long, with exit code 27.", |s, v| { s.timeout = Some(timeout(v)?); Ok(()) }).or(&["--timeout"]),
    word(&["-C"], ("N", "no count specified"), (Group::End, TOP),
        "Ends after so many intervals, where it prints them.",
        |s, v| { s.count = Some(count(v)?); Ok(()) }).or(&["--count"]),
    word(&["-W"], ("SECONDS", "no timeout specified"), (Group::End, WATCHERS),
        "Ends after so long.", |s, v| { s.timeout = Some(timeout(v)?); Ok(()) }).or(&["--timeout"]),
    switch(&["-E"], (Group::End, SUB),
        "Ends once the broker has answered the subscription.", |s, _| { s.exit_after_subscribing = true; Ok(()) }),
    switch(&["--force"], (Group::Output, RECORD),
        "Replaces a file that is there.", |s, _| { s.force = true; Ok(()) }),
    // Replay
    word(&["--speed"], ("FACTOR", "no speed specified"), (Group::Replay, REPLAY),
        "Replays so many times as fast: 2, 0.5; 0 or max as fast as it goes [default: 1].",
        |s, v| { s.speed = speed(v)?; Ok(()) }).offering(&["0.5", "2", "10", "max"]),
    word(&["--map"], ("FROM=TO", "no topics specified"), (Group::Replay, REPLAY),
        "Puts the levels TO in place of FROM at the beginning of topics; repeatable, the first that fits counts.",
        |s, v| s.remap.add(v)),
    // Spy
    word(&["--listen"], ("ADDRESS", "no address specified"), (Group::Spy, SPY),
        "Where clients connect to: HOST:PORT or PORT on this machine [default: 127.0.0.1:1884].",
        |s, v| { s.listen = listen(v); Ok(()) }),
    word(&["--to"], ("URL", "no URL specified"), (Group::Spy, SPY),
        "The broker: mqtt://, mqtts://, ws:// or wss://, HOST[:PORT]; the same can be said with -h and -p.",
        crate::check::server).or(&["-L", "--url"]),
    word(&["--payload-bytes"], ("N", "no number specified"), (Group::Output, SPY),
        "Shows so many bytes of a payload [default: 64].", |s, v| { s.payload_bytes = payload_bytes(v)?; Ok(()) }),
    switch(&["--once"], (Group::Output, TREE),
        "Listens for -W seconds [default: 1] and prints the tree, as it does where there is no terminal.",
        |s, _| { s.once = true; Ok(()) }),
    word(&["--interval"], ("SECONDS", "no time specified"), (Group::Output, TOP),
        "Counts messages for so long, fractions allowed [default: 1].", |s, v| { s.interval = interval(v)?; Ok(()) }),
    word(&["--sort"], ("KEY", "no key specified"), (Group::Output, TOP),
        "What comes first: rate, bytes, total, last or topic [default: rate].",
        |s, v| { s.sort = sort_key(v)?; Ok(()) }).offering(&["rate", "bytes", "total", "last", "topic"]),
    switch(&["--json"], (Group::Output, REPORTERS),
        "Prints JSON objects, one a line: for each packet, topic or interval.", |s, _| { s.json = true; Ok(()) }),
    // Server
    word(&["-h", "--host"], ("HOST", "no host specified"), (Group::Server, ALL),
        "Name or address of the broker [default: localhost].",
        |s, v| { s.host = Some(text(v)); Ok(()) }).or(&["--hostname"]),
    word(&["-p", "--port"], ("PORT", "no port specified"), (Group::Server, ALL),
        "Its port [default: 1883, 8883 with TLS].", |s, v| { s.port = Some(port(v)?); Ok(()) }),
    word(&["-L", "--url"], ("URL", "no URL specified"), (Group::Server, CLIENTS),
        "All at once: mqtt://, mqtts://, ws:// or wss://, [USER[:PASSWORD]@]HOST[:PORT]/TOPIC.", crate::check::url),
    word(&["--unix"], ("PATH", "no socket path specified"), (Group::Server, ALL),
        "Connects to a socket in the file system.", |s, v| { (s.host, s.port) = (Some(text(v)), Some(0)); Ok(()) }),
    switch(&["--ws"], (Group::Server, ALL),
        "Speaks over WebSocket, at the path /mqtt.", |s, _| { s.is_websocket = true; Ok(()) }),
    word(&["--proxy"], ("URL", "no proxy url specified"), (Group::Server, ALL),
        "Goes through a SOCKS5 proxy: socks5h://[USER[:PASSWORD]@]HOST[:PORT].",
        |s, v| { s.proxy = Some(crate::check::proxy(v)?); Ok(()) }),
    word(&["-A"], ("ADDRESS", "no address specified"), (Group::Server, ALL),
        "Connects from this address of this machine.", |s, v| { s.bind = Some(text(v)); Ok(()) }).or(&["--bind"]),
    switch(&["--nodelay"], (Group::Server, ALL),
        "Sends small packets at once instead of gathering them (TCP_NODELAY).", |s, _| { s.nodelay = true; Ok(()) }),
    // Client and session
    word(&["-i", "--id"], ("ID", "no id specified"), (Group::Session, CLIENTS),
        "The client identifier [default: one that is made up].", client_id).or(&["--client-id", "--identifier"]),
    word(&["-I", "--id-prefix"], ("PREFIX", "no id prefix specified"), (Group::Session, CLIENTS),
        "Makes the client identifier of this and the number of the process.", client_id_prefix),
    word(&["-u", "--username"], ("NAME", "no username specified"), (Group::Session, CLIENTS),
        "User name.", |s, v| { s.user_name = Some(user_name(v)?); Ok(()) }).or(&["--user"]),
    word(&["-P", "--pw"], ("PASSWORD", "no password specified"), (Group::Session, CLIENTS),
        "Password. Others on this machine may see it; --pw-file and --pw-env keep it from them.",
        |s, v| { (s.password, s.password_place) = (Some(v.to_vec()), None); Ok(()) }).or(&["--password"]),
    word(&["--pw-file"], ("FILE", "no file specified"), (Group::Session, CLIENTS),
        "Password: the first line of a file.",
        |s, v| { s.password_place = Some(PasswordPlace::File(path(v))); Ok(()) }).or(&["--password:file"]),
    word(&["--pw-env"], ("NAME", "no variable specified"), (Group::Session, CLIENTS),
        "Password: what a variable of the environment holds.",
        |s, v| { s.password_place = Some(PasswordPlace::Variable(text(v))); Ok(()) }).or(&["--password:env"]),
    word(&["--protocol-version", "-V"], ("VERSION", "no version specified"), (Group::Session, CLIENTS),
        "Version of MQTT: 5, 311 or 31, or mqttv5, mqttv311, mqttv31 [default: 311 for pub and sub, else 5].",
        |s, v| { s.version = version(v)?; Ok(()) }).or(&["--mqtt-version", "--mqttVersion"])
        .offering(&["5", "311", "31"]),
    switch(&["-c", "--disable-clean-session"], (Group::Session, CLIENTS),
        "Keeps the session and takes up the one that is there; needs -i.", |s, _| { s.clean_session = false; Ok(()) }),
    word(&["-x"], ("SECONDS", "no session expiry interval specified"), (Group::Session, CLIENTS),
        "How long the broker keeps the session: -1 or ∞ for ever. MQTT 5 only [default: 0, with -c for ever].",
        |s, v| { s.session_expiry = Some(session_expiry(v)?); Ok(()) }).or(&["--session-expiry-interval"]),
    word(&["-k", "--keepalive"], ("SECONDS", "no keepalive specified"), (Group::Session, CLIENTS),
        "The longest silence, 5 to 65535 [default: 60].",
        |s, v| { s.keep_alive_seconds = keep_alive(v)?; Ok(()) }).or(&["--keep-alive", "--keepAlive"]),
    word(&["-q", "--qos"], ("QOS", "no QoS specified"), (Group::Session, CHOOSERS),
        "Quality of service, 0, 1 or 2 [default: 0; 2 for recordings].",
        |s, v| { s.qos = qos(v, |n| format!("Invalid QoS given: {n}"))?; Ok(()) }).offering(&["0", "1", "2"]),
    word(&["-M"], ("N", "max_inflight not specified"), (Group::Session, CLIENTS),
        "How many messages above QoS 0 may be on their way at a time [default: 20].", |s, v| {
            let n = at_least_one(v, "Maximum inflight messages must be greater than 0.")?;
            s.inflight_max = u16::try_from(n).unwrap_or(u16::MAX);
            Ok(())
        }).or(&["--max-inflight"]),
    Flag {
        names: &["--property", "-D"], also: &[], tools: CLIENTS, takes: Takes::Property, offers: &[],
        group: Group::Session,
        help: "Adds a property to connect, publish, subscribe, unsubscribe, disconnect or will. MQTT 5 only.",
        set: |_, _| Ok(()),
    },
    // Will
    word(&["--will-topic"], ("TOPIC", "no will topic specified"), (Group::Will, CLIENTS),
        "Where the broker publishes the will if this client is lost.",
        |s, v| { s.will.topic = Some(name("--will-topic", "will", v)?); Ok(()) }),
    word(&["--will-payload"], ("TEXT", "no will payload specified"), (Group::Will, CLIENTS),
        "What the will says [default: nothing].",
        |s, v| { s.will.payload = Some(v.to_vec()); Ok(()) }).or(&["--will-message"]),
    word(&["--will-qos"], ("QOS", "no will QoS specified"), (Group::Will, CLIENTS),
        "Its quality of service [default: 0].",
        |s, v| { s.will.qos = qos(v, |n| format!("Invalid will QoS {n}."))?; Ok(()) }).offering(&["0", "1", "2"]),
    switch(&["--will-retain"], (Group::Will, CLIENTS),
        "Has the broker keep the will for later subscribers.", |s, _| { s.will.retain = true; Ok(()) }),
    // TLS
    word(&["--cafile"], ("FILE", "no file specified"), (Group::Tls, ALL),
        "Believes brokers whose certificate is signed by one in this file.",
        |s, v| { s.tls.ca_file = Some(path(v)); Ok(()) }).or(&["--ca"]),
    word(&["--capath"], ("FOLDER", "no directory specified"), (Group::Tls, ALL),
        "The same with the files of a folder.", |s, v| { s.tls.ca_folder = Some(path(v)); Ok(()) }),
    switch(&["--tls-use-os-certs"], (Group::Tls, ALL),
        "Believes those whom the system trusts.", |s, _| { s.tls.system_roots = true; Ok(()) }),
    word(&["--cert"], ("FILE", "no file specified"), (Group::Tls, ALL),
        "The certificate of this client.", |s, v| { s.tls.certificate = Some(path(v)); Ok(()) }),
    word(&["--key"], ("FILE", "no file specified"), (Group::Tls, ALL),
        "Its private key.", |s, v| { s.tls.key = Some(path(v)); Ok(()) }),
    word(&["--keyform"], ("FORM", "no keyform specified"), (Group::Tls, ALL),
        "The form of the key; pem is the only one.",
        |s, v| { s.tls.key_form = Some(text(v)); Ok(()) }).offering(&["pem"]),
    switch(&["--insecure"], (Group::Tls, ALL),
        "Believes a trusted certificate also if it was made out to another name.",
        |s, _| { s.tls.insecure = true; Ok(()) }),
    word(&["--tls-version"], ("VERSION", "no version specified"), (Group::Tls, ALL),
        "The lowest version of TLS: tlsv1.2 or tlsv1.3 [default: tlsv1.2].",
        |s, v| { s.tls.version = Some(text(v)); Ok(()) }).offering(&["tlsv1.2", "tlsv1.3"]),
    word(&["--ciphers"], ("LIST", "no ciphers specified"), (Group::Tls, ALL),
        "Ciphers of TLS 1.2 by their names in OpenSSL, separated by colons.",
        |s, v| { s.tls.ciphers = Some(text(v)); Ok(()) }),
    word(&["--tls-alpn"], ("PROTOCOL", "no protocol specified"), (Group::Tls, ALL),
        "The protocol that is asked for (ALPN) [default: mqtt].",
        |s, v| { s.tls.alpn = Some(v.to_vec()); Ok(()) }).offering(&["mqtt"]),
    switch(&["--no-tls"], (Group::Tls, ALL),
        "No TLS, also at port 8883.", |s, _| { s.tls.off = true; Ok(()) }),
    word(&["--tls-engine"], ("ENGINE", "no engine_id specified"), (Group::Tls, ALL),
        "An engine of OpenSSL, of which there is none here.", |s, v| { s.tls.engine = Some(text(v)); Ok(()) }),
    word(&["--tls-engine-kpass-sha1"], ("SHA1", "no kpass sha1 specified"), (Group::Tls, ALL),
        "The password of an engine's key.", |s, v| { s.tls.engine_password = Some(text(v)); Ok(()) }),
    word(&["--psk"], ("KEY", "no key specified"), (Group::Tls, ALL),
        "TLS with a shared key, which is not supported: use certificates or a password.",
        |s, v| { s.tls.psk = Some(text(v)); Ok(()) }),
    word(&["--psk-identity"], ("NAME", "no identity specified"), (Group::Tls, ALL),
        "The identity of the shared key.", |s, v| { s.tls.psk_identity = Some(text(v)); Ok(()) }),
    // The tool itself
    switch(&["-d", "--debug"], (Group::Tool, TALKERS),
        "Prints every packet that is sent and received.", |s, _| { s.debug = true; Ok(()) }),
    switch(&["--quiet"], (Group::Tool, ALL),
        "Says nothing about what fails while it runs.", |s, _| { s.quiet = true; Ok(()) }),
    word(&["-o"], ("FILE", "no options file specified"), (Group::Tool, ALL),
        "Reads options from this file instead of those in the folder of the user's configuration.",
        |s, v| { s.options_file = Some(path(v)); Ok(()) }).or(&["--options-file"]),
    Flag {
        names: &["--help"], also: &[], tools: ALL, takes: Takes::Help, offers: &[],
        group: Group::Tool, help: "Shows this.", set: |_, _| Ok(()),
    },
    Flag {
        names: &["--version"], also: &[], tools: ALL, takes: Takes::Version, offers: &[],
        group: Group::Tool, help: "Shows the version.", set: |_, _| Ok(()),
    },
];

fn wrong(text: &str) -> Wrong {
    Wrong(text.to_owned())
}

/// What is no UTF-8 comes through with replacement characters, which nothing that is meant so would match.
pub(crate) fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

#[cfg(unix)]
pub(crate) fn path(word: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(word).into()
}

#[cfg(not(unix))]
pub(crate) fn path(word: &[u8]) -> PathBuf {
    text(word).into()
}

/// Text that may stand in MQTT: UTF-8 without control characters.
pub(crate) fn utf8(flag: &str, word: &[u8]) -> Result<String, Wrong> {
    let text = std::str::from_utf8(word).ok().filter(|text| !text.chars().any(char::is_control));
    text.map(str::to_owned).ok_or_else(|| Wrong(format!("Malformed UTF-8 in {flag} argument.")))
}

/// A topic name. An empty one is refused later, when it is known whether it is needed.
pub(crate) fn name(flag: &str, kind: &str, word: &[u8]) -> Result<String, Wrong> {
    let topic = utf8(flag, word)?;
    match topic.is_empty() || TopicName::check(&topic).is_ok() {
        true => Ok(topic),
        false => Err(Wrong(format!("Invalid {kind} topic '{topic}', does it contain '+' or '#'?"))),
    }
}

/// A topic filter.
pub(crate) fn filter(flag: &str, kind: &str, word: &[u8]) -> Result<String, Wrong> {
    let filter = utf8(flag, word)?;
    match Subscription::check(&filter) {
        Ok(_) => Ok(filter),
        Err(_) => {
            Err(Wrong(format!("Invalid {kind} topic '{filter}', are all '+' and '#' wildcards correct?")))
        }
    }
}

fn payload(settings: &mut Settings, payload: Payload) -> Result<(), Wrong> {
    if settings.payload != Payload::Unsaid {
        return Err(wrong("Only one type of message can be sent at once."));
    }
    settings.payload = payload;
    Ok(())
}

/// What is too large to be counted is as good as the largest number there is.
fn at_least_one(word: &[u8], error: &str) -> Result<u32, Wrong> {
    match leading_integer(word) {
        ..=0 => Err(wrong(error)),
        number => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
    }
}

fn count(word: &[u8]) -> Result<u32, Wrong> {
    at_least_one(word, &format!("Invalid message count \"{}\".", leading_integer(word)))
}

fn timeout(word: &[u8]) -> Result<Duration, Wrong> {
    let seconds = at_least_one(word, &format!("Invalid timeout \"{}\".", leading_integer(word)))?;
    Ok(Duration::from_secs(seconds.into()))
}

fn delay(word: &[u8]) -> Result<Duration, Wrong> {
    let seconds = leading_decimal(word);
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong("--repeat-delay argument must be >=0.0."))
}

/// A port alone is one of this machine.
fn listen(word: &[u8]) -> String {
    let place = text(word);
    let port = place.strip_prefix(':').unwrap_or(&place);
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port { format!("127.0.0.1:{port}") } else { place }
}

/// Between a hundredth of a second and a day.
fn interval(word: &[u8]) -> Result<Duration, Wrong> {
    let seconds = leading_decimal(word);
    let in_range = (0.01..=86_400.0).contains(&seconds);
    in_range
        .then(|| Duration::from_secs_f64(seconds))
        .ok_or_else(|| wrong("--interval argument must be between 0.01 and 86400 seconds."))
}

fn sort_key(word: &[u8]) -> Result<SortKey, Wrong> {
    let row = SortKey::ALL.iter().find(|row| row.1.as_bytes() == word);
    row.map(|row| row.0).ok_or_else(|| {
        Wrong(format!("Invalid sort key '{}', it must be rate, bytes, total, last or topic.", text(word)))
    })
}

fn payload_bytes(word: &[u8]) -> Result<usize, Wrong> {
    let count = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    count.ok_or_else(|| Wrong(format!("Invalid number of bytes '{}'.", text(word))))
}

fn speed(word: &[u8]) -> Result<Speed, Wrong> {
    let factor = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    match (word, factor) {
        (b"max", _) | (_, Some(0.0)) => Ok(Speed::Unbounded),
        (_, Some(factor)) if factor > 0.0 && f64::is_finite(factor) => Ok(Speed::Factor(factor)),
        _ => Err(Wrong(format!("Invalid speed '{}', a number or max is wanted.", text(word)))),
    }
}

fn chance(word: &[u8]) -> Result<u32, Wrong> {
    let tenths = (leading_decimal(word) * 10.0) as i64;
    let in_range = u32::try_from(tenths).ok().filter(|tenths| (1..=1000).contains(tenths));
    in_range.ok_or_else(|| wrong("--random-filter chance must be between 0.1-100.0"))
}

pub(crate) fn port(word: &[u8]) -> Result<u16, Wrong> {
    let port = leading_integer(word);
    u16::try_from(port).map_err(|_| Wrong(format!("Invalid port given: {port}")))
}

fn keep_alive(word: &[u8]) -> Result<u16, Wrong> {
    let seconds = u16::try_from(leading_integer(word)).ok().filter(|seconds| *seconds >= 5);
    seconds.ok_or_else(|| wrong("Invalid keepalive given, it must be between 5 and 65535 inclusive."))
}

fn qos(word: &[u8], error: impl Fn(i64) -> String) -> Result<QoS, Wrong> {
    let number = leading_integer(word);
    u8::try_from(number).ok().and_then(QoS::from_bits).ok_or_else(|| Wrong(error(number)))
}

fn version(word: &[u8]) -> Result<ProtocolVersion, Wrong> {
    match word {
        b"5" | b"mqttv5" => Ok(ProtocolVersion::V5),
        b"311" | b"mqttv311" => Ok(ProtocolVersion::V3_1_1),
        b"31" | b"mqttv31" => Ok(ProtocolVersion::V3_1),
        _ => Err(wrong("Invalid protocol version argument given.")),
    }
}

fn retain_handling(word: &[u8]) -> Result<RetainHandling, Wrong> {
    match word {
        b"always" => Ok(RetainHandling::Send),
        b"new" => Ok(RetainHandling::SendIfNew),
        b"never" => Ok(RetainHandling::DoNotSend),
        _ => Err(wrong("Invalid retain handling given, it must be always, new or never.")),
    }
}

fn session_expiry(word: &[u8]) -> Result<u32, Wrong> {
    if word == "∞".as_bytes() {
        return Ok(u32::MAX);
    }
    match whole_integer(word).ok_or_else(|| wrong("session-expiry-interval not a number."))? {
        -1 => Ok(u32::MAX),
        seconds => u32::try_from(seconds).map_err(|_| wrong("session-expiry-interval out of range.")),
    }
}

fn user_name(word: &[u8]) -> Result<String, Wrong> {
    utf8("-u", word).map_err(|_| wrong("Problem setting username and/or password."))
}

fn client_id(settings: &mut Settings, word: &[u8]) -> Result<(), Wrong> {
    if settings.client_id_prefix.is_some() {
        return Err(wrong("-i and -I argument cannot be used together."));
    }
    settings.client_id = Some(utf8("-i", word)?);
    Ok(())
}

fn client_id_prefix(settings: &mut Settings, word: &[u8]) -> Result<(), Wrong> {
    if settings.client_id.is_some() {
        return Err(wrong("-i and -I argument cannot be used together."));
    }
    settings.client_id_prefix = Some(utf8("-I", word)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tool_has_a_name_twice() {
        for tool in ALL {
            let mut names: Vec<&str> = Flag::of(*tool).flat_map(Flag::all_names).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{tool:?}");
        }
    }

    #[test]
    fn every_flag_has_help_and_somebody_who_has_it() {
        for flag in FLAGS {
            assert!(flag.help.ends_with('.') && !flag.tools.is_empty(), "{:?}", flag.names);
            assert!(flag.all_names().all(|name| name.starts_with('-')), "{:?}", flag.names);
        }
    }

    /// Whoever takes what is offered is not told that it is wrong.
    #[test]
    fn what_is_offered_is_taken() {
        for flag in FLAGS {
            for offer in flag.offers {
                assert!(matches!(flag.takes, Takes::Word { .. }), "{:?}", flag.names);
                let mut settings = Settings::new(flag.tools[0]);
                let set = (flag.set)(&mut settings, offer.as_bytes());
                assert_eq!(set, Ok(()), "{:?} {offer}", flag.names);
            }
        }
    }

    #[test]
    fn words_of_the_further_tools() {
        assert_eq!(speed(b"2.5"), Ok(Speed::Factor(2.5)));
        assert!([&b"0"[..], b"max", b"0.0"].iter().all(|word| speed(word) == Ok(Speed::Unbounded)));
        assert!([&b"-1"[..], b"fast", b"inf", b"NaN", b""].iter().all(|word| speed(word).is_err()));
        for (word, place) in [
            ("1884", "127.0.0.1:1884"),
            (":1884", "127.0.0.1:1884"),
            ("0.0.0.0:1", "0.0.0.0:1"),
            ("[::1]:1", "[::1]:1"),
            ("host:1", "host:1"),
        ] {
            assert_eq!(listen(word.as_bytes()), place);
        }
        assert_eq!(interval(b"0.5"), Ok(Duration::from_millis(500)));
        assert!([&b"0"[..], b"-1", b"x", b"1e9"].iter().all(|word| interval(word).is_err()));
        assert_eq!(sort_key(b"bytes"), Ok(SortKey::Bytes));
    }
}
