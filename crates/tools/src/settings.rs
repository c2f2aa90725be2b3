//! What a command line has said, before and after it was checked.

use crate::format::Format;
use crate::program::Tool;
use crate::properties::PropertyLists;
use crate::record::STANDARD_STREAM;
use crate::remap::Remap;
use crate::top::SortKey;
use noctule_codec::{ProtocolVersion, QoS, RetainHandling};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that flags can say. The defaults are those of the tool.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) tool: Tool,
    // Where to
    pub(crate) host: Option<String>,
    /// 0 makes the host the path of a socket.
    pub(crate) port: Option<u16>,
    pub(crate) bind: Option<String>,
    pub(crate) nodelay: bool,
    pub(crate) is_websocket: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) tls: Tls,
    // Who
    pub(crate) client_id: Option<String>,
    pub(crate) client_id_prefix: Option<String>,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    /// Where the password stands, if it was not said itself.
    pub(crate) password_place: Option<PasswordPlace>,
    // The session
    pub(crate) version: ProtocolVersion,
    pub(crate) clean_session: bool,
    /// In seconds; `u32::MAX` is for ever.
    pub(crate) session_expiry: Option<u32>,
    pub(crate) keep_alive_seconds: u16,
    pub(crate) inflight_max: u16,
    pub(crate) qos: QoS,
    pub(crate) properties: PropertyLists,
    pub(crate) will: Will,
    // What is published
    pub(crate) topic: Option<String>,
    pub(crate) payload: Payload,
    pub(crate) retain: bool,
    pub(crate) repeat: u32,
    pub(crate) repeat_delay: Duration,
    pub(crate) response_topic: Option<String>,
    pub(crate) latency: bool,
    // What is subscribed
    pub(crate) filters: Vec<String>,
    pub(crate) filters_out: Vec<String>,
    pub(crate) filters_left: Vec<String>,
    pub(crate) retain_as_published: bool,
    pub(crate) retain_handling: RetainHandling,
    pub(crate) no_retained: bool,
    pub(crate) retained_only: bool,
    pub(crate) remove_retained: bool,
    // When it is over
    pub(crate) count: Option<u32>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) exit_after_subscribing: bool,
    // What is printed
    pub(crate) format: Option<Format>,
    pub(crate) verbose: bool,
    pub(crate) end_of_line: bool,
    pub(crate) pretty: bool,
    pub(crate) watch: bool,
    pub(crate) message_rate: bool,
    /// The chance of a message to be printed, in tenths of a percent.
    pub(crate) random_filter: u32,
    pub(crate) debug: bool,
    pub(crate) quiet: bool,
    pub(crate) options_file: Option<PathBuf>,
    // The further tools
    /// The file of a recording.
    pub(crate) file: Option<PathBuf>,
    /// A file that is there is replaced.
    pub(crate) force: bool,
    pub(crate) speed: Speed,
    pub(crate) remap: Remap,
    /// Where the spy listens: host and port.
    pub(crate) listen: String,
    /// How much of a payload is shown.
    pub(crate) payload_bytes: usize,
    pub(crate) json: bool,
    /// The tree is printed once.
    pub(crate) once: bool,
    /// How long messages are counted for a rate.
    pub(crate) interval: Duration,
    pub(crate) sort: SortKey,
}

/// How fast a recording is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// So many times as fast as it was recorded; above 0.
    Factor(f64),
    /// As fast as it goes.
    Unbounded,
}

/// Where a password stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PasswordPlace {
    /// In the first line of this file.
    File(PathBuf),
    /// In this variable of the environment.
    Variable(String),
}

/// What a publication carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Nothing was said.
    #[default]
    Unsaid,
    Bytes(Vec<u8>),
    File(PathBuf),
    /// Standard input to its end.
    Stdin,
    /// Each line of standard input by itself.
    Lines,
}

/// The will.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) topic: Option<String>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

/// TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) ca_folder: Option<PathBuf>,
    pub(crate) system_roots: bool,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) key_form: Option<String>,
    pub(crate) ciphers: Option<String>,
    pub(crate) insecure: bool,
    pub(crate) version: Option<String>,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) engine: Option<String>,
    pub(crate) engine_password: Option<String>,
    pub(crate) psk: Option<String>,
    pub(crate) psk_identity: Option<String>,
    pub(crate) off: bool,
}

impl Settings {
    /// Where a recording is written or read: a file, or a standard stream.
    pub(crate) fn recording(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(STANDARD_STREAM))
    }

    pub(crate) fn new(tool: Tool) -> Self {
        let is_mosquittos = matches!(tool, Tool::Pub | Tool::Sub);
        let version = if is_mosquittos { ProtocolVersion::V3_1_1 } else { ProtocolVersion::V5 };
        // A recording has each message as it was published.
        let qos = if tool == Tool::Record { QoS::ExactlyOnce } else { QoS::AtMostOnce };
        Self {
            tool,
            host: None,
            port: None,
            bind: None,
            nodelay: false,
            is_websocket: false,
            proxy: None,
            tls: Tls::default(),
            client_id: None,
            client_id_prefix: None,
            user_name: None,
            password: None,
            password_place: None,
            version,
            clean_session: true,
            session_expiry: None,
            keep_alive_seconds: 60,
            inflight_max: 20,
            qos,
            properties: PropertyLists::default(),
            will: Will::default(),
            topic: None,
            payload: Payload::Unsaid,
            retain: false,
            repeat: 1,
            repeat_delay: Duration::ZERO,
            response_topic: None,
            latency: false,
            filters: Vec::new(),
            filters_out: Vec::new(),
            filters_left: Vec::new(),
            retain_as_published: matches!(tool, Tool::Record | Tool::Tree | Tool::Top),
            retain_handling: RetainHandling::default(),
            no_retained: false,
            retained_only: false,
            remove_retained: false,
            count: None,
            timeout: None,
            exit_after_subscribing: false,
            format: None,
            verbose: false,
            end_of_line: true,
            pretty: false,
            watch: false,
            message_rate: false,
            random_filter: RANDOM_FILTER_ALL,
            debug: false,
            quiet: false,
            options_file: None,
            file: None,
            force: false,
            speed: Speed::Factor(1.0),
            remap: Remap::default(),
            listen: "127.0.0.1:1884".to_owned(),
            payload_bytes: 64,
            json: false,
            once: false,
            interval: Duration::from_secs(1),
            sort: SortKey::default(),
        }
    }

    /// Whether it speaks TLS.
    pub(crate) fn is_tls(&self) -> bool {
        let tls = &self.tls;
        let is_wanted = tls.ca_file.is_some() || tls.ca_folder.is_some() || tls.system_roots;
        !tls.off && (is_wanted || self.port == Some(PORT_TLS))
    }
}

/// Everything is printed.
pub(crate) const RANDOM_FILTER_ALL: u32 = 1000;
/// The port that means TLS by itself.
pub(crate) const PORT_TLS: u16 = 8883;
