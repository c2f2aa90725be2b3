//! `[[listener]]`: a listener with a table of its own.
//!
//! A table begins with what the rest of the configuration says (`[tls]`, `[mqtt]`, `[limits]`, `websocket.origins`),
//! and its keys change that for the clients of this listener alone. So a table holds a value for everything, and
//! nobody asks where it comes from. `listen = [...]` is the short form for listeners that change nothing.

use noctule_session::{ClientIds, Limits, Rates, Terms, Versions};
use noctule_transport::ListenUrl;

use super::key::Key;
use super::keys::{PACKET_BYTES_MAX, is_text};
use super::kind::{Field, Kind, Unit};
use super::{AccessSettings, AnonymousClients, CertificateField, Config, Tls};

/// A listener, and what holds for its clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where it listens; checked tables have one.
    pub(crate) url: Option<ListenUrl>,
    /// Its name, as rules and log lines have it; empty: its URL.
    pub(crate) name: String,
    /// Which clients are let in without user name; `None`: as `access.anonymous` says.
    pub anonymous: Option<AnonymousClients>,
    /// Who knows its clients, instead of what `[access]` says.
    pub access: ListenerAccess,
    /// Which field of a certificate is the user name; `None`: as `access.certificate_name` says.
    pub certificate_name: Option<CertificateField>,
    /// How it speaks TLS.
    pub tls: Tls,
    /// Pages of other hosts that may connect over WebSocket.
    pub origins: Vec<String>,
    /// Connections of this listener at a time; `None`: no limit of its own.
    pub connections_max: Option<u32>,
    /// What may come from all its clients together.
    pub rates: Rates,
    /// Put before every topic of its clients, and taken off again.
    pub mount_point: String,
    /// Versions that are accepted.
    pub versions: Versions,
    /// How client ids have to begin.
    pub client_id_prefix: String,
    /// Whether user names take the place of client ids.
    pub user_name_as_client_id: bool,
    /// How client ids begin that the broker gives away; empty: `noctule-`.
    pub assigned_client_id_prefix: String,
    /// Whether a client may ask for a client id, by an empty one.
    pub empty_client_id: bool,
    /// Bounds and features of its connections.
    pub limits: Limits,
}

/// Files about users and rules for one listener. Where any of them is named, those of `[access]` do not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerAccess {
    /// Files of users, in their order.
    pub users: Vec<String>,
    /// File of rules; empty: none.
    pub rules: String,
    /// A `password_file` of mosquitto; empty: none.
    pub mosquitto_password_file: String,
    /// An `acl_file` of mosquitto; empty: none.
    pub mosquitto_acl_file: String,
    /// A `dynamic-security.json` of mosquitto; empty: none.
    pub mosquitto_dynamic_security_file: String,
}

impl ListenerAccess {
    /// These files in place of those of the section.
    fn instead_of(self, section: &AccessSettings) -> AccessSettings {
        AccessSettings {
            users: self.users,
            rules: self.rules,
            mosquitto_password_file: self.mosquitto_password_file,
            mosquitto_acl_file: self.mosquitto_acl_file,
            mosquitto_dynamic_security_file: self.mosquitto_dynamic_security_file,
            ..section.clone()
        }
    }
}

impl ListenerConfig {
    /// A listener that changes nothing.
    pub fn plain(url: ListenUrl, config: &Config) -> Self {
        Self { url: Some(url), ..Self::beginning(config) }
    }

    /// What a table begins with.
    pub(super) fn beginning(config: &Config) -> Self {
        Self {
            tls: config.tls.clone(),
            origins: config.websocket_origins.clone(),
            empty_client_id: true,
            limits: config.limits.clone(),
            ..Self::default()
        }
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Never for one of [`Config::listeners`].
    pub fn url(&self) -> &ListenUrl {
        self.url.as_ref().expect("a listener without URL is refused when the configuration is read")
    }

    /// Its name, as rules and log lines have it.
    pub fn name(&self) -> String {
        if self.name.is_empty() { self.url().to_string() } else { self.name.clone() }
    }

    /// Who may come in here and what they may do, where that is not what the rest of the configuration says.
    pub(crate) fn own_access(&self, of_all: &AccessSettings) -> Option<AccessSettings> {
        let files = (self.access != ListenerAccess::default()).then(|| self.access.clone());
        if files.is_none() && self.anonymous.is_none() && self.certificate_name.is_none() {
            return None;
        }
        let mut own = of_all.clone();
        if let Some(files) = files {
            own = files.instead_of(&own);
        }
        own.anonymous = self.anonymous.unwrap_or(own.anonymous);
        own.certificate_name = self.certificate_name.unwrap_or(own.certificate_name);
        Some(own)
    }

    /// What it offers its clients.
    pub fn terms(&self) -> Terms {
        Terms {
            limits: self.limits.clone(),
            versions: self.versions,
            client_ids: ClientIds {
                prefix: self.client_id_prefix.as_str().into(),
                are_user_names: self.user_name_as_client_id,
                assigned_prefix: self.assigned_client_id_prefix.as_str().into(),
                may_be_empty: self.empty_client_id,
            },
            mount_point: self.mount_point.as_str().into(),
        }
    }
}

impl Config {
    /// All listeners: those of `listen`, then those with tables.
    pub fn listeners(&self) -> impl Iterator<Item = ListenerConfig> {
        let plain = self.listen.iter().map(|url| ListenerConfig::plain(url.clone(), self));
        plain.chain(self.listener_tables.iter().cloned())
    }
}

macro_rules! field {
    ($($path:ident).+) => {
        Field { get: |config| &config.$($path).+, get_mut: |config| &mut config.$($path).+ }
    };
}

/// The keys of a table.
pub static LISTENER_KEYS: &[Key<ListenerConfig>] = &[
    Key {
        name: "listener.url",
        kind: Kind::Url(field!(url)),
        flag: None,
        help: "Where this listener listens; every table needs one",
        details: "As in `listen`.",
        hint: "",
    },
    Key {
        name: "listener.name",
        kind: Kind::Text { allowed: "a text", check: is_text, field: field!(name) },
        flag: None,
        help: "Its name, which rules and log lines have; empty for its URL",
        details: "No two listeners have the same one.",
        hint: "",
    },
    Key {
        name: "listener.anonymous",
        kind: Kind::Word(field!(anonymous)),
        flag: None,
        help: "Which of its clients are let in without user name",
        details: "As `access.anonymous`.",
        hint: "",
    },
    Key {
        name: "listener.users",
        kind: Kind::Texts { allowed: "an array of paths, like [\"users.txt\"]", field: field!(access.users) },
        flag: None,
        help: "Files of the users of this listener",
        details: "As `access.users`. Where this or one of the four keys below is set, the files of `[access]` do \
                  not hold for this listener.",
        hint: "",
    },
    Key {
        name: "listener.rules",
        kind: Kind::Text { allowed: "a path, or nothing", check: is_text, field: field!(access.rules) },
        flag: None,
        help: "File of the rules for this listener",
        details: "As `access.rules`.",
        hint: "",
    },
    Key {
        name: "listener.mosquitto_password_file",
        kind: Kind::Text {
            allowed: "a path, or nothing",
            check: is_text,
            field: field!(access.mosquitto_password_file),
        },
        flag: None,
        help: "A password_file of mosquitto for this listener",
        details: "As `access.mosquitto_password_file`.",
        hint: "",
    },
    Key {
        name: "listener.mosquitto_acl_file",
        kind: Kind::Text {
            allowed: "a path, or nothing",
            check: is_text,
            field: field!(access.mosquitto_acl_file),
        },
        flag: None,
        help: "An acl_file of mosquitto for this listener",
        details: "As `access.mosquitto_acl_file`.",
        hint: "",
    },
    Key {
        name: "listener.mosquitto_dynamic_security_file",
        kind: Kind::Text {
            allowed: "a path, or nothing",
            check: is_text,
            field: field!(access.mosquitto_dynamic_security_file),
        },
        flag: None,
        help: "A dynamic-security.json of mosquitto for this listener",
        details: "As `access.mosquitto_dynamic_security_file`.",
        hint: "",
    },
    Key {
        name: "listener.certificate_name",
        kind: Kind::Word(field!(certificate_name)),
        flag: None,
        help: "Which field of a client's certificate is its user name here",
        details: "As `access.certificate_name`.",
        hint: "",
    },
    Key {
        name: "listener.certificate",
        kind: Kind::Texts {
            allowed: "an array of paths, like [\"server.pem\"]",
            field: field!(tls.certificate),
        },
        flag: None,
        help: "Files of the certificates that this listener shows",
        details: "As `tls.certificate`.",
        hint: "",
    },
    Key {
        name: "listener.key",
        kind: Kind::Texts { allowed: "an array of paths, like [\"server.key\"]", field: field!(tls.key) },
        flag: None,
        help: "Files of the private keys to these certificates, in the same order",
        details: "As `tls.key`.",
        hint: "",
    },
    Key {
        name: "listener.client_certificates",
        kind: Kind::Word(field!(tls.client_certificates)),
        flag: None,
        help: "Whether TLS clients of this listener show certificates",
        details: "As `tls.client_certificates`.",
        hint: "",
    },
    Key {
        name: "listener.client_ca",
        kind: Kind::Text { allowed: "a path, or nothing", check: is_text, field: field!(tls.client_ca) },
        flag: None,
        help: "File of the authorities that sign certificates of its clients",
        details: "As `tls.client_ca`.",
        hint: "",
    },
    Key {
        name: "listener.tls_versions",
        kind: Kind::Word(field!(tls.versions)),
        flag: None,
        help: "The oldest TLS version that this listener speaks",
        details: "As `tls.versions`.",
        hint: "",
    },
    Key {
        name: "listener.origins",
        kind: Kind::Texts {
            allowed: "an array of origins, like [\"https://panel.example\"]",
            field: field!(origins),
        },
        flag: None,
        help: "Web pages of other hosts that may connect to this listener over WebSocket",
        details: "As `websocket.origins`.",
        hint: "",
    },
    Key {
        name: "listener.mount_point",
        kind: Kind::Text {
            allowed: "the start of a topic: no wildcard, at most 1024 bytes",
            check: is_mount_point,
            field: field!(mount_point),
        },
        flag: None,
        help: "Prefix put before every topic of its clients, and taken off again; empty for none",
        details: "With `hall/` a client that publishes on `door` does so on `hall/door`, and one that subscribes to \
                  `#` gets what is below `hall/`, without that prefix. It holds for wills, retained messages and \
                  shared subscriptions (`$share/GROUP/` stays in front); rules and logs have the whole topic. `$SYS` \
                  is out of reach. A prefix without `/` at its end makes filters that begin with a wildcard \
                  invalid. A session keeps its subscriptions as they were made: its client may come through a \
                  listener with another mount point, but is not given what is not below that one; such messages are \
                  dropped and counted as not permitted.",
        hint: "",
    },
    Key {
        name: "listener.connections_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(connections_max) },
        flag: None,
        help: "Connections of this listener served at a time; 0 for no limit of its own",
        details: "What exceeds it is told why (0x97), as for `limits.connections_max`.",
        hint: "",
    },
    Key {
        name: "listener.connects_per_second_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(rates.connects_per_second_max) },
        flag: None,
        help: "Clients let in by this listener in a second; 0 for any number",
        details: "Further ones wait for their turn, as for `limits.connects_per_second_max`, for which they wait too.",
        hint: "",
    },
    Key {
        name: "listener.messages_per_second_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(rates.messages_per_second_max) },
        flag: None,
        help: "Publications of all clients of this listener in a second; 0 for no limit",
        details: "None of them is read until the allowance has grown again, as for `limits.messages_per_second_max`.",
        hint: "",
    },
    Key {
        name: "listener.bytes_per_second_max",
        kind: Kind::Size { range: 0..=PIB, field: field!(rates.bytes_per_second_max) },
        flag: None,
        help: "Bytes of all clients of this listener in a second; 0 for no limit",
        details: "As the messages of this listener.",
        hint: "",
    },
    Key {
        name: "listener.versions",
        kind: Kind::Versions(field!(versions)),
        flag: None,
        help: "Versions of MQTT that this listener accepts",
        details: "Clients of another one are refused (0x84; 3.x: code 1).",
        hint: "",
    },
    Key {
        name: "listener.client_id_prefix",
        kind: Kind::Text {
            allowed: "a text of at most 1024 bytes",
            check: is_short_text,
            field: field!(client_id_prefix),
        },
        flag: None,
        help: "How client ids have to begin; empty for anyhow",
        details: "Others are refused (0x85; 3.x: code 2). Assigned ones begin so too.",
        hint: "",
    },
    Key {
        name: "listener.user_name_as_client_id",
        kind: Kind::Switch(field!(user_name_as_client_id)),
        flag: None,
        help: "Whether the user name takes the place of the client id",
        details: "That of the certificate where it is one (`listener.certificate_name`), else that of CONNECT. Clients \
                  without user name are refused (0x87; 3.x: code 5).",
        hint: "",
    },
    Key {
        name: "listener.assigned_client_id_prefix",
        kind: Kind::Text {
            allowed: "a text of at most 1024 bytes",
            check: is_short_text,
            field: field!(assigned_client_id_prefix),
        },
        flag: None,
        help: "How client ids begin that the broker gives away; empty for noctule-",
        details: "They go on with characters that make each of them unique.",
        hint: "",
    },
    Key {
        name: "listener.empty_client_id",
        kind: Kind::Switch(field!(empty_client_id)),
        flag: None,
        help: "Whether a client may have an empty client id, and is given one",
        details: "When `false`, such clients are refused (0x85; 3.1.1: code 2), as those of 3.1 always are.",
        hint: "",
    },
    Key {
        name: "listener.maximum_qos",
        kind: Kind::Number { range: 0..=2, field: field!(limits.maximum_qos) },
        flag: None,
        help: "Highest QoS of publications accepted and delivered",
        details: "As `mqtt.maximum_qos`.",
        hint: "",
    },
    Key {
        name: "listener.retain_available",
        kind: Kind::Switch(field!(limits.retain_available)),
        flag: None,
        help: "Whether retained messages are accepted",
        details: "As `mqtt.retain_available`.",
        hint: "",
    },
    Key {
        name: "listener.topic_alias_maximum",
        kind: Kind::Number { range: 0..=U16_MAX, field: field!(limits.topic_alias_maximum) },
        flag: None,
        help: "Topic aliases accepted from one client; 0 for none",
        details: "As `limits.topic_alias_maximum`.",
        hint: "",
    },
    Key {
        name: "listener.packet_bytes_max",
        kind: Kind::Size { range: 64..=PACKET_BYTES_MAX, field: field!(limits.packet_bytes_max) },
        flag: None,
        help: "Longest packet accepted",
        details: "As `limits.packet_bytes_max`.",
        hint: "",
    },
    Key {
        name: "listener.inflight_messages_max_v3",
        kind: Kind::Number { range: 1..=U16_MAX, field: field!(limits.inflight_messages_max_v3) },
        flag: None,
        help: "Unacknowledged QoS 1 and 2 deliveries to one 3.1 or 3.1.1 client",
        details: "As `limits.inflight_messages_max_v3`.",
        hint: "",
    },
    Key {
        name: "listener.keep_alive_max",
        kind: Kind::Duration {
            unit: Unit::Seconds,
            range: 0..=U16_MAX,
            field: field!(limits.keep_alive_seconds_max),
        },
        flag: None,
        help: "Longest keep alive granted; 0 for no limit",
        details: "As `limits.keep_alive_max`.",
        hint: "",
    },
];

fn is_short_text(text: &str) -> bool {
    is_text(text) && text.len() <= PREFIX_BYTES_MAX
}

fn is_mount_point(text: &str) -> bool {
    is_short_text(text) && !text.contains(['+', '#']) && !text.starts_with('$')
}

const U16_MAX: u64 = u16::MAX as u64;
const U32_MAX: u64 = u32::MAX as u64;
const PIB: u64 = 1 << 50;
/// Long enough for every purpose, and short enough for every topic and client id behind it.
const PREFIX_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::super::KEYS;
    use super::*;
    use noctule_transport::TlsVersion;

    /// The keys that those of a table take their defaults from.
    const INHERITED: &[(&str, &str)] = &[
        ("listener.certificate", "tls.certificate"),
        ("listener.key", "tls.key"),
        ("listener.client_certificates", "tls.client_certificates"),
        ("listener.client_ca", "tls.client_ca"),
        ("listener.tls_versions", "tls.versions"),
        ("listener.origins", "websocket.origins"),
        ("listener.maximum_qos", "mqtt.maximum_qos"),
        ("listener.retain_available", "mqtt.retain_available"),
        ("listener.topic_alias_maximum", "limits.topic_alias_maximum"),
        ("listener.packet_bytes_max", "limits.packet_bytes_max"),
        ("listener.inflight_messages_max_v3", "limits.inflight_messages_max_v3"),
        ("listener.keep_alive_max", "limits.keep_alive_max"),
    ];

    /// What a table does not say is as the rest of the configuration says.
    #[test]
    fn a_table_begins_with_what_holds_elsewhere() {
        let mut config = Config::default();
        config.tls.certificate = vec!["a.pem".into()];
        config.tls.versions = TlsVersion::Tls1_3;
        config.websocket_origins = vec!["null".into()];
        config.limits.packet_bytes_max = 4096;
        config.limits.retain_available = false;
        let beginning = ListenerConfig::beginning(&config);
        for (own, elsewhere) in INHERITED {
            let own = LISTENER_KEYS.iter().find(|key| key.name == *own).expect("a key of tables");
            let elsewhere = KEYS.iter().find(|key| key.name == *elsewhere).expect("a key");
            assert_eq!(own.value(&beginning), elsewhere.value(&config), "{}", own.name);
            assert_eq!(own.allowed(), elsewhere.allowed(), "{}", own.name);
        }
    }

    #[test]
    fn names_and_texts_have_one_form() {
        for key in LISTENER_KEYS {
            assert!(key.name.starts_with("listener."), "{}", key.name);
            assert!(!key.help.ends_with('.') && key.help.starts_with(char::is_uppercase), "{}", key.name);
            assert!(key.details.ends_with('.'), "{}", key.name);
        }
    }

    #[test]
    fn what_a_table_says_is_what_its_clients_are_offered() {
        let listener = ListenerConfig {
            mount_point: "hall/".into(),
            client_id_prefix: "h-".into(),
            assigned_client_id_prefix: "h-auto-".into(),
            user_name_as_client_id: true,
            empty_client_id: false,
            versions: Versions { v3_1: false, v3_1_1: false, v5: true },
            limits: Limits { packet_bytes_max: 99, ..Limits::default() },
            ..ListenerConfig::default()
        };
        let terms = listener.terms();
        assert_eq!((&*terms.mount_point, terms.limits.packet_bytes_max), ("hall/", 99));
        assert_eq!(terms.versions, listener.versions);
        let ids = terms.client_ids;
        assert_eq!((&*ids.prefix, &*ids.assigned_prefix), ("h-", "h-auto-"));
        assert_eq!((ids.are_user_names, ids.may_be_empty), (true, false));
    }
}
