//! One case for each option of mosquitto that is honoured: a file, and what clients see under it.
//!
//! Each is compared with mosquitto 2.0.11 running the same file, or, where 2.0 does not have the option, with what
//! the manual of 2.1 says. Each is also run without the lines of its option, and then has to look different: a case
//! that an ignored option passes would show nothing.

use super::brokers::{Files, Kind, Subject};
use super::{probes, tls};

/// What is seen of one option.
pub(super) struct Case {
    pub(super) option: &'static str,
    pub(super) conf: &'static str,
    pub(super) files: fn() -> Files,
    pub(super) probe: fn(&mut Subject) -> Vec<String>,
    pub(super) expected: Expected,
}

/// Who says what is right.
pub(super) enum Expected {
    /// The real one.
    Mosquitto,
    /// The manual of one that is not at hand.
    Manual(&'static [&'static str]),
}

use Expected::{Manual, Mosquitto};

/// A case that needs no file beside the configuration.
const fn case(option: &'static str, conf: &'static str, probe: fn(&mut Subject) -> Vec<String>) -> Case {
    Case { option, conf, files: Vec::new, probe, expected: Mosquitto }
}

impl Case {
    pub(super) const fn with(self, files: fn() -> Files) -> Self {
        Self { files, ..self }
    }

    const fn by_manual(self, lines: &'static [&'static str]) -> Self {
        Self { expected: Manual(lines), ..self }
    }

    fn run(&self) {
        let seen = self.observe(Kind::Noctule, "kept", self.conf);
        let expected = match self.expected {
            Mosquitto => self.observe(Kind::Mosquitto, "kept", self.conf),
            Manual(lines) => lines.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(seen, expected, "{}: this is not what mosquitto does", self.option);
        let without: Vec<&str> = self.conf.lines().filter(|line| !self.is_about(line)).collect();
        assert_ne!(without.len(), self.conf.lines().count(), "{}: the file does not have it", self.option);
        let without = without.join("\n");
        let ignored = self.observe(Kind::Noctule, "ignored", &without);
        assert_ne!(ignored, expected, "{}: the case passes when the option is ignored", self.option);
    }

    fn is_about(&self, line: &str) -> bool {
        line.split(' ').next() == Some(self.option)
    }

    fn observe(&self, kind: Kind, how: &str, conf: &str) -> Vec<String> {
        let mut subject = Subject::start(kind, &format!("{}_{how}", self.option), conf, &(self.files)());
        if !subject.is_running {
            return vec![format!("does not start: {}", subject.stderr())];
        }
        (self.probe)(&mut subject)
    }
}

#[test]
fn listeners() {
    LISTENERS.iter().for_each(Case::run);
}

#[test]
fn access() {
    ACCESS.iter().for_each(Case::run);
}

#[test]
fn tls_options() {
    tls::CASES.iter().for_each(Case::run);
}

#[test]
fn state() {
    STATE.iter().for_each(Case::run);
}

#[test]
fn limits() {
    LIMITS.iter().for_each(Case::run);
}

#[test]
fn log() {
    LOG.iter().for_each(Case::run);
}

/// The options that are honoured first, and those of them that are refused until they can be had.
#[test]
fn no_option_is_without_a_case() {
    let groups = [LISTENERS, ACCESS, tls::CASES, STATE, LIMITS, LOG];
    let tried: Vec<&str> = groups.iter().flat_map(|cases| cases.iter()).map(|case| case.option).collect();
    for option in FIRST_CHOICE.split_whitespace() {
        assert!(tried.contains(&option), "{option} has no case");
    }
}

const FIRST_CHOICE: &str = "
    listener port bind_address protocol socket_domain max_connections mount_point accept_protocol_versions
    allow_anonymous listener_allow_anonymous per_listener_settings password_file acl_file include_dir
    clientid_prefixes use_username_as_clientid auto_id_prefix allow_zero_length_clientid
    cafile capath certfile keyfile require_certificate use_identity_as_username use_subject_as_username tls_version
    persistence persistence_location persistence_file persistent_client_expiration retain_available
    queue_qos0_messages
    max_inflight_messages max_queued_messages max_queued_bytes max_packet_size message_size_limit max_keepalive max_qos
    log_dest log_type log_timestamp_format connection_messages sys_interval";

const LISTENERS: &[Case] = &[
    case(
        "listener",
        "port {PORT}\nbind_address 127.0.0.1\nallow_anonymous true\nlistener {PORT2} 127.0.0.1\n",
        probes::second_port,
    ),
    case("port", "bind_address 127.0.0.1\nport {PORT}\nallow_anonymous true\n", probes::first_port),
    case(
        "bind_address",
        "port {PORT}\nbind_address 127.0.0.1\nallow_anonymous true\n",
        probes::other_address,
    ),
    case(
        "protocol",
        "listener {PORT2} 127.0.0.1\nlistener {PORT}\nprotocol websockets\nallow_anonymous true\n",
        probes::websocket,
    ),
    case("socket_domain", "listener {PORT}\nsocket_domain ipv4\nallow_anonymous true\n", probes::ipv6),
    case(
        "max_connections",
        "listener {PORT} 127.0.0.1\nmax_connections 1\nallow_anonymous true\n",
        probes::two_at_once,
    ),
    // 2.0.11 itself leaves the prefix on what it delivers, which its manual says is removed.
    case(
        "mount_point",
        "listener {PORT} 127.0.0.1\nlistener {PORT2} 127.0.0.1\nmount_point house/\nallow_anonymous true\n",
        probes::mounted,
    )
    .by_manual(&[
        "#: [GrantedQoS1]",
        "#: [GrantedQoS1]",
        "acknowledged",
        "acknowledged",
        "acknowledged",
        "house/kitchen 1 q1",
        "house/cellar 2 q1",
        "cellar 3 q1",
        "kitchen 1 q1",
        "cellar 2 q1",
        "house/gone gone q0",
    ]),
    case(
        "accept_protocol_versions",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\naccept_protocol_versions 3, 5\n",
        probes::versions,
    )
    .by_manual(&["3.1: in", "3.1.1: out", "5.0: in"]),
];

const ACCESS: &[Case] = &[
    case("allow_anonymous", "listener {PORT} 127.0.0.1\nallow_anonymous true\n", probes::anonymous),
    case(
        "listener_allow_anonymous",
        "allow_anonymous true\nlistener {PORT} 127.0.0.1\nlistener_allow_anonymous false\n",
        probes::anonymous,
    )
    .by_manual(&["out"]),
    case(
        "per_listener_settings",
        "per_listener_settings true\nlistener {PORT} 127.0.0.1\nallow_anonymous false\n\
         listener {PORT2} 127.0.0.1\nallow_anonymous true\n",
        probes::anonymous_on_both,
    ),
    case(
        "password_file",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\npassword_file passwords\n",
        probes::users,
    )
    .with(probes::passwords),
    case("acl_file", "listener {PORT} 127.0.0.1\nallow_anonymous true\nacl_file rights\n", probes::rights)
        .with(probes::acl),
    case(
        "include_dir",
        "allow_anonymous true\nlistener {PORT} 127.0.0.1\ninclude_dir conf.d\n",
        probes::second_port,
    )
    .with(probes::included),
    case(
        "clientid_prefixes",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nclientid_prefixes good-\n",
        probes::client_ids,
    ),
    case(
        "use_username_as_clientid",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nuse_username_as_clientid true\n",
        probes::same_user,
    ),
    case(
        "auto_id_prefix",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nauto_id_prefix thing-\n",
        probes::assigned_id,
    ),
    case(
        "allow_zero_length_clientid",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nallow_zero_length_clientid false\n",
        probes::empty_id,
    ),
];

const STATE: &[Case] = &[
    case(
        "persistence",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\npersistence true\n",
        probes::kept_over_restart,
    ),
    case(
        "persistence_location",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location store/\n",
        probes::kept_in_store,
    )
    .with(|| vec![("store/README", String::new())]),
    case(
        "persistence_file",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location store/\n\
         persistence_file mine.db\n",
        probes::kept_in_mine,
    )
    .with(|| vec![("store/README", String::new())]),
    case(
        "persistent_client_expiration",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\npersistent_client_expiration 1s\n",
        probes::session_after_a_while,
    )
    .by_manual(&["a: [GrantedQoS1]", "present: false"]),
    case(
        "retain_available",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nretain_available false\n",
        probes::retaining,
    ),
    case(
        "queue_qos0_messages",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nqueue_qos0_messages true\n",
        probes::queued_qos0,
    ),
];

const LIMITS: &[Case] = &[
    case(
        "max_inflight_messages",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 3\n",
        probes::in_flight,
    ),
    case(
        "max_queued_messages",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 5\n",
        probes::queued,
    ),
    case(
        "max_queued_bytes",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nmax_queued_bytes 5000\n",
        probes::queued_bytes,
    ),
    case(
        "max_packet_size",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nmax_packet_size 100\n",
        probes::long_packet,
    ),
    case(
        "message_size_limit",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nmessage_size_limit 100\n",
        probes::long_payload,
    ),
    case(
        "max_keepalive",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nmax_keepalive 30\n",
        probes::keep_alive,
    ),
    case("max_qos", "listener {PORT} 127.0.0.1\nmax_qos 1\nallow_anonymous true\n", probes::highest_qos),
];

const LOG: &[Case] = &[
    case(
        "log_dest",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nlog_dest file broker.log\n",
        probes::names_in_file,
    ),
    case(
        "log_type",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nlog_dest file broker.log\nlog_type error\n",
        probes::names_in_file,
    ),
    case(
        "connection_messages",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nlog_dest file broker.log\nconnection_messages false\n",
        probes::names_in_file,
    ),
    case(
        "log_timestamp_format",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nlog_dest file broker.log\nlog_timestamp_format [%Y/%m]\n",
        probes::time_in_file,
    ),
    case(
        "sys_interval",
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n",
        probes::sys_messages,
    ),
];
