//! The table of all options that mosquitto's manual documents, for 2.0 and 2.1.

use super::became::Became;
use super::draft::Draft;
use super::lines::Line;
use super::{access, broker, listener, log};
use Group::{Access, Bridges, Limits, Listeners, Log, Plugins, Process, State, Tls};
use Treatment::{By, NotNeeded, Number, Refused, RefusedUnless, Switch, TlsSwitch, TlsText};

/// An option of mosquitto.
pub struct KnownOption {
    /// Its name; one that ends in `*` stands for all that begin like it.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// What becomes of it, in one line of Markdown.
    pub becomes: &'static str,
    pub(super) treatment: Treatment,
}

/// What options are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Where clients connect.
    Listeners,
    /// Who may come in and do what.
    Access,
    /// Encryption.
    Tls,
    /// What is kept.
    State,
    /// Bounds.
    Limits,
    /// Log lines and `$SYS`.
    Log,
    /// The process and its tuning.
    Process,
    /// Plugins.
    Plugins,
    /// Connections to other brokers.
    Bridges,
}

/// What is done with an option.
pub(super) enum Treatment {
    /// A function of its own.
    By(fn(&mut Draft, &Line) -> Result<Became, String>),
    /// A switch of ours.
    Switch(&'static str),
    /// A number of ours with the same meaning.
    Number(&'static str),
    /// Kept until all is put together: a text that mosquitto takes once.
    State,
    /// A text about the TLS of a listener, and the key it becomes.
    TlsText(&'static str),
    /// A switch about the TLS of a listener, and what it becomes.
    TlsSwitch(&'static str),
    /// Has no meaning here.
    NotNeeded,
    /// Cannot be had.
    Refused { is_vital: bool },
    /// Cannot be had, except for the value that it has by default.
    RefusedUnless(&'static str),
    /// About a connection to another broker.
    Bridge,
}

impl KnownOption {
    /// The option of this name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|option| match option.name.strip_suffix('*') {
            Some(start) => name.len() > start.len() && name.starts_with(start),
            None => option.name == name,
        })
    }

    /// Whether it has an effect here.
    pub fn is_honoured(&self) -> bool {
        !matches!(
            self.treatment,
            Treatment::NotNeeded
                | Treatment::Refused { .. }
                | Treatment::RefusedUnless(_)
                | Treatment::Bridge
        )
    }

    /// A line as it is shown. Secrets are not.
    pub(super) fn shown(&self, line: &Line) -> String {
        let is_secret = SECRETS.contains(&self.name);
        let value = if is_secret { "…" } else { &line.value };
        format!("{} {value}", line.name).trim_end().replace(char::is_control, "?")
    }
}

impl Treatment {
    /// What the table of the documentation puts before the words; empty for what is honoured.
    pub(super) fn word(&self) -> String {
        match self {
            Self::NotNeeded => "no longer needed".into(),
            Self::Refused { .. } | Self::Bridge => "refused".into(),
            Self::RefusedUnless(value) => format!("refused unless `{value}`"),
            _ => String::new(),
        }
    }

    /// Takes a line into account and says what became of it.
    pub(super) fn take(&self, draft: &mut Draft, line: &Line) -> Result<Became, String> {
        let known = KnownOption::by_name(&line.name);
        let (name, becomes) = known.map_or(("", ""), |known| (known.name, known.becomes));
        match *self {
            Self::By(take) => take(draft, line),
            Self::Switch(key) => Ok(Became::kept(draft.settings.take(key, line.switch()?, line))),
            Self::Number(key) => Ok(Became::kept(draft.settings.take(key, line.count()?, line))),
            Self::State => draft.raw.set_once(name, line).map(|_| Became::translated(becomes)),
            Self::TlsText(key) => listener::tls_text(draft, line, name, key),
            Self::TlsSwitch(note) => listener::tls_switch(draft, line, name, note),
            Self::NotNeeded => Ok(Became::not_needed(becomes)),
            Self::Refused { is_vital } => Ok(Became::refused(becomes, is_vital)),
            Self::RefusedUnless(value) if line.value == value => Ok(Became::kept("it is so anyway")),
            Self::RefusedUnless(_) => Ok(Became::refused(becomes, false)),
            Self::Bridge => Ok(Became::refused(BRIDGE, false)),
        }
    }
}

/// Shorthand for a row.
const fn row(name: &'static str, group: Group, treatment: Treatment, becomes: &'static str) -> KnownOption {
    KnownOption { name, group, becomes, treatment }
}

/// A row of a bridge.
const fn bridge(name: &'static str) -> KnownOption {
    row(name, Bridges, Treatment::Bridge, BRIDGE)
}

/// All options, group by group.
pub static OPTIONS: &[KnownOption] = &[
    row("listener", Listeners, By(listener::listener), "a table `[[listener]]` with `listener.url`"),
    row("port", Listeners, By(listener::port), "`listener.url` of the default listener"),
    row("bind_address", Listeners, By(listener::bind_address), "`listener.url` of the default listener"),
    row(
        "protocol",
        Listeners,
        By(listener::protocol),
        "the scheme of `listener.url`; every path of a WebSocket is taken",
    ),
    row(
        "socket_domain",
        Listeners,
        By(listener::socket_domain),
        "`listener.url` with an address of this family",
    ),
    row("max_connections", Listeners, By(listener::max_connections), "`listener.connections_max`"),
    row("mount_point", Listeners, By(listener::mount_point), "`listener.mount_point`"),
    row(
        "accept_protocol_versions",
        Listeners,
        By(listener::accept_protocol_versions),
        "`listener.versions`, where 3, 4, 5 are `3.1`, `3.1.1`, `5.0`",
    ),
    row("max_qos", Listeners, By(listener::max_qos), "`listener.maximum_qos`"),
    row("max_topic_alias", Listeners, By(listener::max_topic_alias), "`listener.topic_alias_maximum`"),
    row(
        "use_username_as_clientid",
        Listeners,
        By(listener::use_username_as_clientid),
        "`listener.user_name_as_client_id`",
    ),
    row(
        "websockets_origin",
        Listeners,
        By(listener::websockets_origin),
        "`listener.origins`; without it every page may connect",
    ),
    row(
        "enable_proxy_protocol",
        Listeners,
        Refused { is_vital: true },
        "the PROXY protocol is not understood yet; without it every client would come from the proxy",
    ),
    row(
        "proxy_protocol_v2_require_tls",
        Listeners,
        Refused { is_vital: true },
        "the PROXY protocol is not understood yet",
    ),
    row(
        "bind_interface",
        Listeners,
        Refused { is_vital: true },
        "listeners are bound to addresses; name the address of the interface in `listener`",
    ),
    row("http_dir", Listeners, Refused { is_vital: false }, "files are not served; use a web server"),
    row("packet_buffer_size", Listeners, NotNeeded, "buffers grow as they are needed"),
    row("websockets_headers_size", Listeners, NotNeeded, "8 KiB of headers are always taken"),
    row("websockets_log_level", Listeners, NotNeeded, "see `log`"),
    row("allow_anonymous", Access, By(access::allow_anonymous), "`access.anonymous`"),
    row("listener_allow_anonymous", Access, By(access::listener_allow_anonymous), "`listener.anonymous`"),
    row(
        "per_listener_settings",
        Access,
        By(access::per_listener_settings),
        "the keys of section `[access]`, on each `[[listener]]`",
    ),
    row(
        "password_file",
        Access,
        By(access::password_file),
        "`access.mosquitto_password_file`, read as it is",
    ),
    row("acl_file", Access, By(access::acl_file), "`access.mosquitto_acl_file`, read as it is"),
    row("include_dir", Access, By(access::include_dir), "one file, with what all of them say"),
    row("clientid_prefixes", Access, By(access::clientid_prefixes), "`listener.client_id_prefix`"),
    row("auto_id_prefix", Access, By(access::auto_id_prefix), "`listener.assigned_client_id_prefix`"),
    row(
        "listener_auto_id_prefix",
        Access,
        By(access::listener_auto_id_prefix),
        "`listener.assigned_client_id_prefix`",
    ),
    row(
        "allow_zero_length_clientid",
        Access,
        By(access::allow_zero_length_clientid),
        "`listener.empty_client_id`",
    ),
    row("check_retain_source", Access, NotNeeded, "rights are checked when a retained message is delivered"),
    row(
        "psk_file",
        Access,
        Refused { is_vital: true },
        "pre-shared keys are not spoken: give the listener a certificate (`noctule tls init`)",
    ),
    row("cafile", Tls, TlsText("client_ca"), "`listener.client_ca`"),
    row("capath", Tls, TlsText("client_ca"), "`listener.client_ca`, which may be a folder"),
    row("certfile", Tls, TlsText("certificate"), "`listener.certificate`"),
    row("keyfile", Tls, TlsText("key"), "`listener.key`"),
    row(
        "require_certificate",
        Tls,
        TlsSwitch("client_certificates = \"required\" where it is true"),
        "`listener.client_certificates`",
    ),
    row(
        "use_identity_as_username",
        Tls,
        TlsSwitch("certificate_name = \"common_name\" where it is true"),
        "`listener.certificate_name = \"common_name\"`",
    ),
    row(
        "use_subject_as_username",
        Tls,
        TlsSwitch("certificate_name = \"subject\" where it is true"),
        "`listener.certificate_name = \"subject\"`",
    ),
    row(
        "tls_version",
        Tls,
        By(listener::tls_version),
        "`listener.tls_versions`; nothing older than 1.2 is spoken",
    ),
    row(
        "crlfile",
        Tls,
        Refused { is_vital: true },
        "revoked certificates cannot be told yet; without the list they would come in",
    ),
    row("ciphers", Tls, NotNeeded, "only ciphers without known weakness are there"),
    row("ciphers_tls1.3", Tls, NotNeeded, "only ciphers without known weakness are there"),
    row("dhparamfile", Tls, NotNeeded, "keys are exchanged over elliptic curves"),
    row("psk_hint", Tls, Refused { is_vital: true }, "pre-shared keys are not spoken"),
    row("tls_engine", Tls, Refused { is_vital: true }, "keys are read from files"),
    row("tls_engine_kpass_sha1", Tls, Refused { is_vital: true }, "keys are read from files"),
    row("tls_keyform", Tls, RefusedUnless("pem"), "keys are read from files"),
    row(
        "disable_client_cert_date_checks",
        Tls,
        RefusedUnless("false"),
        "a certificate whose time is over is refused",
    ),
    row("persistence", State, By(broker::persistence), "`durability`: `disk` if true, `memory` if not"),
    row("persistence_location", State, Treatment::State, "`data_dir`, a folder beside mosquitto's file"),
    row("persistence_file", State, Treatment::State, "the name of `data_dir`, with `.noctule` behind it"),
    row(
        "persistent_client_expiration",
        State,
        By(broker::persistent_client_expiration),
        "`limits.session_expiry_max`",
    ),
    row("retain_available", State, Switch("mqtt.retain_available"), "`mqtt.retain_available`"),
    row("queue_qos0_messages", State, Switch("limits.queue_qos0"), "`limits.queue_qos0`"),
    row("autosave_interval", State, NotNeeded, "everything is written when it is acknowledged"),
    row("autosave_on_changes", State, NotNeeded, "everything is written when it is acknowledged"),
    row("retain_expiry_interval", State, NotNeeded, "what has expired is removed at once"),
    row(
        "max_inflight_messages",
        Limits,
        By(broker::max_inflight_messages),
        "`limits.inflight_messages_max`, `limits.inflight_messages_max_v3`, `limits.receive_maximum`",
    ),
    row(
        "max_inflight_bytes",
        Limits,
        NotNeeded,
        "`limits.output_bytes_max` bounds what waits on a connection",
    ),
    row("max_queued_messages", Limits, Number("limits.queue_messages_max"), "`limits.queue_messages_max`"),
    row("max_queued_bytes", Limits, By(broker::max_queued_bytes), "`limits.queue_bytes_max`, 1 KiB at least"),
    row("max_packet_size", Limits, Number("limits.packet_bytes_max"), "`limits.packet_bytes_max`"),
    row("message_size_limit", Limits, Number("limits.payload_bytes_max"), "`limits.payload_bytes_max`"),
    row(
        "max_keepalive",
        Limits,
        By(broker::max_keepalive),
        "`limits.keep_alive_max`; a 3.x client, which cannot be told, keeps its own as in 2.0",
    ),
    row("memory_limit", Limits, By(broker::memory_limit), "`limits.memory_bytes_max`"),
    row("global_max_clients", Limits, By(broker::global_max_clients), "`limits.sessions_max`"),
    row("global_max_connections", Limits, By(broker::global_max_connections), "`limits.connections_max`"),
    row(
        "max_topic_alias_broker",
        Limits,
        By(broker::max_topic_alias_broker),
        "`limits.topic_alias_maximum_out`",
    ),
    row(
        "upgrade_outgoing_qos",
        Limits,
        RefusedUnless("false"),
        "a delivery has the lower QoS of publication and subscription",
    ),
    row(
        "allow_duplicate_messages",
        Limits,
        NotNeeded,
        "a client gets a message once, however many of its filters match",
    ),
    row("log_dest", Log, By(log::log_dest), "`log_to`; `syslog` becomes `stderr`, and `topic` is refused"),
    row("log_type", Log, By(log::log_type), "`log`: the most that any of them lets through"),
    row("log_timestamp", Log, By(log::log_timestamp), "`log_time_format`"),
    row("log_timestamp_format", Log, By(log::log_timestamp_format), "`log_time_format`"),
    row("log_facility", Log, NotNeeded, "the service manager says where standard error goes"),
    row(
        "connection_messages",
        Log,
        By(log::connection_messages),
        "`log`, without the part that says who comes and goes",
    ),
    row("sys_interval", Log, By(broker::sys_interval), "`sys_interval`"),
    row(
        "user",
        Process,
        NotNeeded,
        "the broker runs as the user who starts it; let the service manager choose",
    ),
    row("pid_file", Process, NotNeeded, "the service manager knows the process; `data_dir` is locked"),
    row("set_tcp_nodelay", Process, NotNeeded, "it is always set"),
    row("enable_control_api", Process, RefusedUnless("false"), "`$CONTROL/broker/v1` is not there"),
    row("retry_interval", Process, NotNeeded, "mosquitto has given it up, too"),
    row("store_clean_interval", Process, NotNeeded, "mosquitto has given it up, too"),
    row(
        "plugin",
        Plugins,
        By(access::plugin),
        "refused, except those that read a `password_file`, an `acl_file` or a `dynamic-security.json`",
    ),
    row("global_plugin", Plugins, By(access::plugin), "as `plugin`"),
    row("auth_plugin", Plugins, By(access::plugin), "as `plugin`"),
    row(
        "plugin_opt_*",
        Plugins,
        By(access::plugin_opt),
        "`access.mosquitto_password_file`, `…_acl_file` or `…_dynamic_security_file`",
    ),
    row("auth_opt_*", Plugins, By(access::plugin_opt), "as `plugin_opt_*`"),
    row("auth_plugin_deny_special_chars", Plugins, NotNeeded, "names with wildcards never fill a pattern"),
    bridge("connection"),
    bridge("address"),
    bridge("addresses"),
    bridge("topic"),
    bridge("remote_username"),
    bridge("remote_password"),
    bridge("remote_clientid"),
    bridge("username"),
    bridge("password"),
    bridge("clientid"),
    bridge("cleansession"),
    bridge("local_cleansession"),
    bridge("local_clientid"),
    bridge("local_username"),
    bridge("local_password"),
    bridge("try_private"),
    bridge("notifications"),
    bridge("notifications_local_only"),
    bridge("notification_topic"),
    bridge("restart_timeout"),
    bridge("start_type"),
    bridge("idle_timeout"),
    bridge("threshold"),
    bridge("round_robin"),
    bridge("keepalive_interval"),
    bridge("bridge_protocol_version"),
    bridge("bridge_attempt_unsubscribe"),
    bridge("bridge_bind_address"),
    bridge("bridge_max_packet_size"),
    bridge("bridge_max_topic_alias"),
    bridge("bridge_outgoing_retain"),
    bridge("bridge_receive_maximum"),
    bridge("bridge_reload_type"),
    bridge("bridge_session_expiry_interval"),
    bridge("bridge_tcp_keepalive"),
    bridge("bridge_tcp_user_timeout"),
    bridge("bridge_alpn"),
    bridge("bridge_cafile"),
    bridge("bridge_capath"),
    bridge("bridge_certfile"),
    bridge("bridge_ciphers"),
    bridge("bridge_ciphers_tls1.3"),
    bridge("bridge_identity"),
    bridge("bridge_insecure"),
    bridge("bridge_keyfile"),
    bridge("bridge_psk"),
    bridge("bridge_require_ocsp"),
    bridge("bridge_tls_use_os_certs"),
    bridge("bridge_tls_version"),
];

/// What is said of all options of a bridge.
const BRIDGE: &str = "connections to other brokers are not there yet";

/// Options whose values nobody else should read.
const SECRETS: &[&str] =
    &["remote_password", "local_password", "password", "bridge_psk", "plugin_opt_*", "auth_opt_*"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_stands_in_the_table_once() {
        let mut names: Vec<&str> = OPTIONS.iter().map(|option| option.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        for option in OPTIONS {
            assert!(!option.becomes.is_empty() && !option.becomes.ends_with('.'), "{}", option.name);
        }
    }

    #[test]
    fn options_with_an_open_end_need_one() {
        assert!(KnownOption::by_name("plugin_opt_x").is_some_and(|option| option.name == "plugin_opt_*"));
        assert!(KnownOption::by_name("plugin_opt_").is_none());
        assert!(KnownOption::by_name("listeners").is_none());
    }
}
