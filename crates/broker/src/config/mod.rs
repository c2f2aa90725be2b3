//! What the operator can set, from where, and what it means.
//!
//! [`KEYS`] is the one table of all keys, [`LISTENER_KEYS`] that of the keys in a `[[listener]]`. `noctule.toml`, the
//! `NOCTULE_…` environment variables, the flags of `noctule serve`, `noctule config show`, the help texts and
//! `docs/configuration.md` all come from them. A key ends in a field of [`Config`] or [`ListenerConfig`]; the
//! default of a key *is* the value of that field in [`Config::default`].
//!
//! Everything is checked here, once: past a [`Config`] nobody asks again whether a value is allowed. Loading
//! reports every problem it finds, not only the first, and a value is checked also when a stronger source
//! overrides it.

mod certificates;
mod file;
mod key;
mod keys;
mod kind;
mod listener;
mod load;
mod log_filter;
mod log_place;
mod places;
mod problem;
mod raw;
mod reference;
mod show;
mod tables;
mod units;
mod unknown;
mod value;

use std::path::PathBuf;
use std::time::Duration;

use noctule_auth::admission::CertificateName;
use noctule_session::{Limits, Rates};
use noctule_transport::{Host, ListenUrl, TlsVersion};

pub use key::{Flag, Key};
pub use keys::KEYS;
pub use listener::{LISTENER_KEYS, ListenerAccess, ListenerConfig};
pub use load::{
    Argument, ListenerSetting, Loaded, Origin, Setting, Sources, check_file, check_mosquitto_file, load,
};
pub use log_filter::{LogFilter, LogFilterError};
pub use log_place::{LogPlace, LogPlaceError};
pub use problem::{Place, Problem, Problems};
pub use reference::reference;
pub use show::show;
pub use value::Value;

/// Everything the broker is told before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where MQTT is listened for without more ado. There is at least one [listener](Config::listeners).
    pub listen: Vec<ListenUrl>,
    /// Listeners with tables of their own.
    pub listener_tables: Vec<ListenerConfig>,
    /// How listeners speak TLS.
    pub tls: Tls,
    /// Who may come in, and what they may do.
    pub access: AccessSettings,
    /// Pages of other hosts that may connect over WebSocket.
    pub websocket_origins: Vec<String>,
    /// Folder of everything the broker keeps.
    pub data_dir: PathBuf,
    /// The HTTP API.
    pub http: Http,
    /// Go on without what is damaged in the journal. It is said for one start, never in a file.
    pub recover: bool,
    /// Bytes that the journal may take; 0: as many as its disk has.
    pub journal_bytes_max: u64,
    /// Threads that serve sessions; 0: as many as there are cores.
    pub shards: u16,
    /// Whether each of these threads is bound to a core.
    pub pin_shards: bool,
    /// What is logged.
    pub log: LogFilter,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Where it is logged; at least one place.
    pub log_to: Vec<LogPlace>,
    /// How the time is written in a line of text: empty for RFC 3339 in UTC, `none`, or a format of strftime.
    pub log_time_format: String,
    /// Whether the configuration is reloaded when one of its files changes.
    pub reload_on_change: bool,
    /// Time between two rounds of `$SYS` publications; `None`: no `$SYS` topics.
    pub sys_interval: Option<Duration>,
    /// Connections served at a time; `None`: as many as the limit of open files allows.
    pub connections_max: Option<u32>,
    /// Clients let in a second; 0: any number.
    pub connects_per_second_max: u32,
    /// What may come from one address.
    pub address_rates: Rates,
    /// What may come from the clients of one user.
    pub user_rates: Rates,
    /// Dropped messages remembered in the drop ledger, the newest ones; 0: none.
    pub drop_ledger_entries_max: u32,
    /// Bounds and features as the protocol sees them.
    pub limits: Limits,
}

/// How listeners speak TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Files of certificates, each with the chain behind it.
    pub certificate: Vec<String>,
    /// Files of the keys to these, in the same order.
    pub key: Vec<String>,
    /// File of the authorities that sign certificates of clients; empty: there are none.
    pub client_ca: String,
    /// Whether clients have to show certificates.
    pub client_certificates: TlsClients,
    /// The oldest version that is spoken.
    pub versions: TlsVersion,
}

/// Whether TLS clients show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsClients {
    /// They are not asked.
    #[default]
    None,
    /// Those that have one.
    Optional,
    /// All of them.
    Required,
}

/// Who may come in, and what they may do: the files that say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// From where clients come in without user name and certificate.
    pub anonymous: AnonymousClients,
    /// Our own files of users, in the order in which they are asked.
    pub users: Vec<String>,
    /// Our own file of rules; empty: none.
    pub rules: String,
    /// What clients may do without a file of rules.
    pub without_rules: WithoutRules,
    /// A `password_file` of mosquitto; empty: none.
    pub mosquitto_password_file: String,
    /// An `acl_file` of mosquitto; empty: none.
    pub mosquitto_acl_file: String,
    /// A `dynamic-security.json` of mosquitto; empty: none.
    pub mosquitto_dynamic_security_file: String,
    /// What of a client's certificate is its user name.
    pub certificate_name: CertificateField,
    /// Wrong passwords in a minute, of an address and for a user, after which no further one is looked at.
    pub attempts_per_minute_max: AttemptsMax,
}

/// From where clients come in without user name and certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnonymousClients {
    /// From nowhere.
    Never,
    /// From this machine.
    #[default]
    Loopback,
    /// From everywhere.
    Always,
}

/// What clients may do without a file of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutRules {
    /// Clients on this machine everything, others what begins with a level that they name, `$…` excepted.
    #[default]
    FirstLevel,
    /// Everything.
    Everything,
}

/// What of a client's certificate is its user name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateField {
    /// Nothing: clients with certificates need a user name as well.
    #[default]
    None,
    /// The common name of the subject.
    CommonName,
    /// The first alternative name.
    AlternativeName,
    /// SHA-256 of the certificate.
    Fingerprint,
    /// The whole subject.
    Subject,
}

/// Wrong passwords in a minute; 0: any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptsMax(pub u32);

impl Default for AttemptsMax {
    fn default() -> Self {
        Self(30)
    }
}

impl CertificateField {
    /// The field, if there is one.
    pub fn field(self) -> Option<CertificateName> {
        match self {
            Self::None => None,
            Self::CommonName => Some(CertificateName::CommonName),
            Self::AlternativeName => Some(CertificateName::AlternativeName),
            Self::Fingerprint => Some(CertificateName::Fingerprint),
            Self::Subject => Some(CertificateName::Subject),
        }
    }
}

/// Where the HTTP API is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Http {
    /// Nowhere.
    Off,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The most threads that can serve sessions.
pub(crate) const SHARDS_MAX: u16 = 256;

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![ListenUrl::tcp(Host::Localhost, 1883)],
            listener_tables: Vec::new(),
            tls: Tls::default(),
            access: AccessSettings::default(),
            websocket_origins: Vec::new(),
            data_dir: "./noctule-data".into(),
            http: Http::Off,
            recover: false,
            journal_bytes_max: 0,
            shards: 0,
            pin_shards: false,
            log: LogFilter::default(),
            log_format: LogFormat::Text,
            log_to: vec![LogPlace::Stderr],
            log_time_format: String::new(),
            reload_on_change: false,
            sys_interval: Some(Duration::from_secs(10)),
            connections_max: None,
            connects_per_second_max: 0,
            address_rates: Rates::default(),
            user_rates: Rates::default(),
            drop_ledger_entries_max: 10_000,
            limits: Limits::default(),
        }
    }
}
