//! The table of all keys, in the order they are shown.
//!
//! A new bound or switch is one entry here and one field of [`Config`](super::Config). Names carry no unit
//! where the value does (`connect_timeout = "10s"`); `bytes` and `messages` in a name say what is counted.

use super::key::{Flag, Key};
use super::kind::{Field, Kind, Unit};

macro_rules! field {
    ($($path:ident).+) => {
        Field { get: |config| &config.$($path).+, get_mut: |config| &mut config.$($path).+ }
    };
}

/// All keys: those without a section first, then section by section.
pub static KEYS: &[Key] = &[
    Key {
        name: "listen",
        kind: Kind::Listen(field!(listen)),
        flag: Some(Flag { value_name: "URL" }),
        help: "Where MQTT clients connect; replaces the default",
        details: "A listener that is to differ from others has a `[[listener]]` table instead; where \
                  there is one and this key is not set, the default is not listened on. `localhost` \
                  means 127.0.0.1 and [::1]; a machine that lacks one of them listens on the other. \
                  `tcp://*:1883` is all addresses, `tcp://0.0.0.0:1883` and `tcp://[::]:1883` those of \
                  a family, port 0 is any free port. `tls://HOST:PORT` needs a certificate (section \
                  `[tls]`). `ws://HOST:PORT` and `wss://HOST:PORT` are MQTT over WebSocket at the path \
                  `/mqtt` and for clients that name none, or at the path that the URL has; `/*` is every \
                  path. `unix:PATH` is a socket for the broker's user and group. Several URLs are an \
                  array in the file, are separated by commas in the environment, and repeat the flag on \
                  the command line.",
        hint: "",
    },
    Key {
        name: "data_dir",
        kind: Kind::Path(field!(data_dir)),
        flag: Some(Flag { value_name: "DIR" }),
        help: "Folder of everything the broker keeps",
        details: "It is created if it is missing, readable by its owner only. A relative path starts at \
                  the working directory. One broker at a time can use a folder. With `durability = \"memory\"` a \
                  broker that cannot make it goes on without.",
        hint: "",
    },
    Key {
        name: "http",
        kind: Kind::Word(field!(http)),
        flag: Some(Flag { value_name: "ADDR|off" }),
        help: "Where the HTTP API is served",
        details: "There is no HTTP API yet, so `off` is the only value.",
        hint: "the HTTP API is not there yet",
    },
    Key {
        name: "durability",
        kind: Kind::Word(field!(limits.durability)),
        flag: Some(Flag { value_name: "LEVEL" }),
        help: "What an acknowledgement promises",
        details: "What is promised to clients whose sessions outlive their connections, and of retained \
                  messages. `disk`: it survives a power cut, because the disk has it before it is \
                  acknowledged. `os`: it survives the end of the broker, but not of the machine. `memory`: a \
                  restart loses everything, and nothing is written.",
        hint: "",
    },
    Key {
        name: "durability_rules",
        kind: Kind::Rules(field!(limits.durability_rules)),
        flag: None,
        help: "What is promised of publications on some topics, as FILTER=LEVEL",
        details: "The first rule whose filter matches a topic says what the acknowledgement of a publication \
                  there promises, and whether its retained value is kept: `sensors/#=memory` writes nothing \
                  of them. Sessions, their subscriptions and packet ids follow `durability`; where that is \
                  `memory`, rules mean nothing.",
        hint: "",
    },
    Key {
        name: "shards",
        kind: Kind::Number { range: 0..=super::SHARDS_MAX as u64, field: field!(shards) },
        flag: Some(Flag { value_name: "N" }),
        help: "Threads that serve sessions; 0 for as many as there are cores",
        details: "A session lives on one of them, which its client id decides. With one, nothing is handed \
                  from thread to thread.",
        hint: "",
    },
    Key {
        name: "pin_shards",
        kind: Kind::Switch(field!(pin_shards)),
        flag: None,
        help: "Bind each of these threads to a core of its own",
        details: "Worth a try on a machine that does nothing else.",
        hint: "",
    },
    Key {
        name: "log",
        kind: Kind::Log(field!(log)),
        flag: Some(Flag { value_name: "FILTER" }),
        help: "What is logged: off, error, warn, info, debug or trace",
        details: "Parts of the program can have levels of their own, named by the start of their module \
                  path: `warn,noctule_broker=debug`. Logs go to standard error.",
        hint: "",
    },
    Key {
        name: "log_format",
        kind: Kind::Word(field!(log_format)),
        flag: Some(Flag { value_name: "FORMAT" }),
        help: "Form of the log: text or json",
        details: "`text` is for people and coloured on a terminal; `json` is one object per line.",
        hint: "",
    },
    Key {
        name: "log_to",
        kind: Kind::LogPlaces(field!(log_to)),
        flag: None,
        help: "Where log lines go: stderr, stdout, or file:PATH",
        details: "Several places get the same lines. A file is written at its end and made if it is missing, for its \
                  owner and group; SIGHUP opens it anew.",
        hint: "",
    },
    Key {
        name: "log_time_format",
        kind: Kind::Text {
            allowed: "nothing, \"none\", or a format like \"%Y-%m-%d %H:%M:%S\"",
            check: is_time_format,
            field: field!(log_time_format),
        },
        flag: None,
        help: "How the time is written in a log line of text; empty for RFC 3339 in UTC",
        details: "`none` leaves it out. Anything else is a format as strftime has it, and the time is that of the \
                  machine's time zone.",
        hint: "",
    },
    Key {
        name: "reload_on_change",
        kind: Kind::Switch(field!(reload_on_change)),
        flag: None,
        help: "Whether a change of its files reloads the configuration, as SIGHUP does",
        details: "Half a second after the file of the configuration, or a certificate, key, file of users or \
                  file of rules that it names, has changed.",
        hint: "",
    },
    Key {
        name: "sys_interval",
        kind: Kind::Duration { unit: Unit::Milliseconds, range: 0..=DAY_MS, field: field!(sys_interval) },
        flag: None,
        help: "Time between two rounds of $SYS messages; 0 turns them off",
        details: "Counters are published under `$SYS/broker/` whenever they have changed by the end of an \
                  interval.",
        hint: "",
    },
    Key {
        name: "tls.certificate",
        kind: Kind::Texts {
            allowed: "an array of paths, like [\"server.pem\"]",
            field: field!(tls.certificate),
        },
        flag: None,
        help: "Files of the certificates that listeners with TLS show",
        details: "PEM, the server's own certificate first and those that signed it behind it. With several \
                  files a client gets the one for the host that it asks for, and otherwise the first.",
        hint: "",
    },
    Key {
        name: "tls.key",
        kind: Kind::Texts { allowed: "an array of paths, like [\"server.key\"]", field: field!(tls.key) },
        flag: None,
        help: "Files of the private keys to these certificates, in the same order",
        details: "PEM, not encrypted.",
        hint: "",
    },
    Key {
        name: "tls.versions",
        kind: Kind::Word(field!(tls.versions)),
        flag: None,
        help: "The oldest TLS version that is spoken",
        details: "The newer ones are spoken too. A client that has none of them is refused.",
        hint: "",
    },
    Key {
        name: "tls.client_certificates",
        kind: Kind::Word(field!(tls.client_certificates)),
        flag: None,
        help: "Whether TLS clients show certificates",
        details: "With `optional` those that have none may connect; one that an authority in `tls.client_ca` \
                  has not signed is refused.",
        hint: "",
    },
    Key {
        name: "tls.client_ca",
        kind: Kind::Text { allowed: "a path, or nothing", check: is_text, field: field!(tls.client_ca) },
        flag: None,
        help: "File of the authorities that sign certificates of clients",
        details: "PEM, any number of certificates. A folder stands for its files that end in `.pem` or `.crt` or are \
                  named as `openssl rehash` does it.",
        hint: "",
    },
    Key {
        name: "websocket.origins",
        kind: Kind::Texts {
            allowed: "an array of origins, like [\"https://panel.example\"]",
            field: field!(websocket_origins),
        },
        flag: None,
        help: "Web pages of other hosts that may connect over WebSocket",
        details: "A browser says which page opens a connection. Pages of the host it connects to are allowed, \
                  on a loopback address only those of this machine. `https://panel.example` allows one more, \
                  `panel.example` all pages of a host, `*` every page, `null` pages from files.",
        hint: "",
    },
    Key {
        name: "access.anonymous",
        kind: Kind::Word(field!(access.anonymous)),
        flag: None,
        help: "From where clients come in without user name",
        details: "`loopback` is this machine: its addresses 127.0.0.0/8 and ::1, and sockets of its file system. \
                  Others are refused (0x87; 3.x: 5). What clients may do then is said by rules \
                  (`docs/security.md`).",
        hint: "",
    },
    Key {
        name: "access.users",
        kind: Kind::Texts { allowed: "an array of paths, like [\"users.txt\"]", field: field!(access.users) },
        flag: Some(Flag { value_name: "FILE" }),
        help: "Files of users with their passwords, made by `noctule passwd`",
        details: "They are asked in this order, and the first that has a user name decides. A client with a user \
                  name that is in none of them is refused (0x86; 3.x: 4); as long as there is no such file, \
                  clients that may come in without a name may have any.",
        hint: "",
    },
    Key {
        name: "access.rules",
        kind: Kind::Text { allowed: "a path, or nothing", check: is_text, field: field!(access.rules) },
        flag: Some(Flag { value_name: "FILE" }),
        help: "File of rules that say what clients may do; empty for none",
        details: "`docs/security.md` says how they are written. With such a file it alone counts, for clients of \
                  this machine too.",
        hint: "",
    },
    Key {
        name: "access.without_rules",
        kind: Kind::Word(field!(access.without_rules)),
        flag: None,
        help: "What clients may do as long as there is no file of rules",
        details: "With `first_level` clients of this machine may do everything, and others may publish and \
                  subscribe below every first level that they name, except one that begins with `$`: `#`, \
                  `+/…` and `$SYS/#` need a rule. `everything` is what mosquitto does.",
        hint: "",
    },
    Key {
        name: "access.mosquitto_password_file",
        kind: Kind::Text {
            allowed: "a path, or nothing",
            check: is_text,
            field: field!(access.mosquitto_password_file),
        },
        flag: None,
        help: "A password_file of mosquitto, read as it is; empty for none",
        details: "It is asked behind `access.users`, and never written.",
        hint: "",
    },
    Key {
        name: "access.mosquitto_acl_file",
        kind: Kind::Text {
            allowed: "a path, or nothing",
            check: is_text,
            field: field!(access.mosquitto_acl_file),
        },
        flag: None,
        help: "An acl_file of mosquitto, which means what it means there; empty for none",
        details: "Either this or `access.rules`.",
        hint: "",
    },
    Key {
        name: "access.mosquitto_dynamic_security_file",
        kind: Kind::Text {
            allowed: "a path, or nothing",
            check: is_text,
            field: field!(access.mosquitto_dynamic_security_file),
        },
        flag: None,
        help: "A dynamic-security.json of mosquitto, read as it is; empty for none",
        details: "Its clients are users, asked behind `access.mosquitto_password_file`, and its roles are rules, so \
                  there is neither `access.rules` nor `access.mosquitto_acl_file` beside it. It is never written.",
        hint: "",
    },
    Key {
        name: "access.certificate_name",
        kind: Kind::Word(field!(access.certificate_name)),
        flag: None,
        help: "What of a verified client certificate is the user name",
        details: "A client with such a name comes in without password, whatever user name CONNECT has. \
                  `subject` is written as in RFC 4514, `fingerprint` is the SHA-256 of the certificate in \
                  lower-case hexadecimal digits.",
        hint: "",
    },
    Key {
        name: "access.attempts_per_minute_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(access.attempts_per_minute_max) },
        flag: None,
        help: "Wrong passwords in a minute before further ones are not looked at; 0 for no limit",
        details: "Counted for each address (of IPv6, each network of 64 bits) and for each user name. Further \
                  attempts are refused unhashed (0x9F; 3.x: 3), but for a user who comes from an address from \
                  which it has come in before and that has not itself used up its attempts.",
        hint: "",
    },
    Key {
        name: "mqtt.maximum_qos",
        kind: Kind::Number { range: 0..=2, field: field!(limits.maximum_qos) },
        flag: None,
        help: "Highest QoS of publications accepted and delivered",
        details: "Announced to 5.0 clients as Maximum QoS. A publication above it ends the connection \
                  (0x9B); a subscription above it is granted this QoS.",
        hint: "",
    },
    Key {
        name: "mqtt.retain_available",
        kind: Kind::Switch(field!(limits.retain_available)),
        flag: None,
        help: "Whether retained messages are accepted",
        details: "Announced to 5.0 clients as Retain Available. When `false`, a retained publication ends \
                  the connection (0x9A).",
        hint: "",
    },
    Key {
        name: "mqtt.wildcard_subscription_available",
        kind: Kind::Switch(field!(limits.wildcard_subscription_available)),
        flag: None,
        help: "Whether topic filters may have wildcards",
        details: "Announced to 5.0 clients as Wildcard Subscription Available. When `false`, a filter with \
                  `+` or `#` is refused (0xA2).",
        hint: "",
    },
    Key {
        name: "mqtt.subscription_identifiers_available",
        kind: Kind::Switch(field!(limits.subscription_identifiers_available)),
        flag: None,
        help: "Whether subscription identifiers are accepted",
        details: "Announced to 5.0 clients as Subscription Identifier Available. When `false`, a \
                  subscription with an identifier is refused (0xA1).",
        hint: "",
    },
    Key {
        name: "mqtt.shared_subscription_available",
        kind: Kind::Switch(field!(limits.shared_subscription_available)),
        flag: None,
        help: "Whether shared subscriptions are accepted",
        details: "Announced to 5.0 clients as Shared Subscription Available. When `false`, a filter that \
                  starts with `$share/` is refused (0x9E).",
        hint: "",
    },
    Key {
        name: "mqtt.response_information",
        kind: Kind::Text {
            allowed: "the start of a topic: no wildcard, at most 65535 bytes",
            check: is_topic_prefix,
            field: field!(limits.response_information),
        },
        flag: None,
        help: "Start of the topics for responses, told to clients that ask; empty for none",
        details: "5.0 clients that set Request Response Information get it as Response Information.",
        hint: "",
    },
    Key {
        name: "mqtt.server_reference",
        kind: Kind::Text {
            allowed: "a text of at most 65535 bytes",
            check: is_mqtt_text,
            field: field!(limits.server_reference),
        },
        flag: None,
        help: "Broker that every client is sent to instead of being served; empty for none",
        details: "5.0 clients are refused with 0x9C and this Server Reference, older ones with code 3.",
        hint: "",
    },
    Key {
        name: "mqtt.server_moved",
        kind: Kind::Switch(field!(limits.server_moved)),
        flag: None,
        help: "Whether clients are sent to mqtt.server_reference for good",
        details: "When `true`, the refusal has reason code 0x9D instead of 0x9C.",
        hint: "",
    },
    Key {
        name: "limits.connections_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(connections_max) },
        flag: None,
        help: "Connections served at a time; 0 for as many as the limit of open files allows",
        details: "The limit of open files is raised as far as the system lets the process. A few \
                  connections above the limit are told why (0x97), the rest are closed at once.",
        hint: "",
    },
    Key {
        name: "limits.connects_per_second_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(connects_per_second_max) },
        flag: None,
        help: "Clients let in a second; 0 for any number",
        details: "A second's worth may come at once. The CONNECT of every further one waits for its turn, in the order \
                  in which they came and before its password is looked at; nobody who is connected notices, and \
                  `$SYS/broker/clients/connects_delayed` counts those that waited. How long they wait at most says \
                  `limits.connect_wait_max`.",
        hint: "",
    },
    Key {
        name: "limits.connect_wait_max",
        kind: Kind::Duration {
            unit: Unit::Milliseconds,
            range: 0..=HOUR_MS,
            field: field!(limits.connect_wait_ms_max),
        },
        flag: None,
        help: "Longest wait of a client for its turn to connect; 0 for none",
        details: "It bounds the queues of `limits.connects_per_second_max` and of \
                  `listener.connects_per_second_max`: with 100 clients a second and 5 seconds no more than 500 \
                  wait. Whoever would have to wait longer is told at once to come again (0x9F; 3.x: code 3). It \
                  should be shorter than the time that clients give the broker to answer, or their turns come \
                  when they have left.",
        hint: "",
    },
    Key {
        name: "limits.sessions_max",
        kind: Kind::Number { range: 1..=U32_MAX, field: field!(limits.sessions_max) },
        flag: None,
        help: "Sessions kept, of connected clients and of those that are away",
        details: "A client without a session is refused (0x97) when there are as many.",
        hint: "",
    },
    Key {
        name: "limits.journal_bytes_max",
        kind: Kind::Size { range: 0..=PIB, field: field!(journal_bytes_max) },
        flag: None,
        help: "Disk space for the journal; 0 for as much as there is",
        details: "The journal needs about twice the space of what it holds: sessions, what they are owed, and \
                  retained messages. It also keeps 128 bytes for each message that is owed, so that it can always be \
                  acknowledged. When it is full, what would have to be recorded is refused (0x97; CONNECT with \
                  0x88) until messages have been delivered or expire; QoS 0 and sessions that \
                  end with their connection go on.",
        hint: "",
    },
    Key {
        name: "limits.memory_bytes_max",
        kind: Kind::Size { range: 0..=PIB, field: field!(limits.memory_bytes_max) },
        flag: None,
        help: "Memory for publications and sessions; 0 for half of what the process may use",
        details: "What the process may use is the machine's memory or its control group's limit. Sessions \
                  count with their queues, subscriptions and wills. Above it publications (QoS 0 is dropped \
                  and counted), subscriptions, wills and clients without a session are refused (0x97), \
                  until messages have been delivered or expire. Clearing a retained message always works.",
        hint: "",
    },
    Key {
        name: "limits.messages_per_second_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(limits.messages_per_second_max) },
        flag: None,
        help: "Publications of one client in a second; 0 for no limit",
        details: "A second's worth may come at once. A client that goes beyond is not read until its \
                  allowance has grown again; nothing is lost and nobody else waits.",
        hint: "",
    },
    Key {
        name: "limits.bytes_per_second_max",
        kind: Kind::Size { range: 0..=PIB, field: field!(limits.bytes_per_second_max) },
        flag: None,
        help: "Bytes of one client in a second; 0 for no limit",
        details: "Counted over all packets; otherwise like limits.messages_per_second_max.",
        hint: "",
    },
    Key {
        name: "limits.address_connects_per_second_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(address_rates.connects_per_second_max) },
        flag: None,
        help: "Connections accepted from one address in a second; 0 for no limit",
        details: "A second's worth may come at once. Some of those beyond are told why (0x9F; 3.x: code 3), \
                  the others are closed; they are counted in `$SYS/broker/clients/refused` and logged. An IPv6 \
                  address stands for its network of 64 bits.",
        hint: "",
    },
    Key {
        name: "limits.address_messages_per_second_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(address_rates.messages_per_second_max) },
        flag: None,
        help: "Publications of all clients of one address in a second; 0 for no limit",
        details: "None of them is read until the allowance has grown again, as for \
                  limits.messages_per_second_max.",
        hint: "",
    },
    Key {
        name: "limits.address_bytes_per_second_max",
        kind: Kind::Size { range: 0..=PIB, field: field!(address_rates.bytes_per_second_max) },
        flag: None,
        help: "Bytes of all clients of one address in a second; 0 for no limit",
        details: "As limits.address_messages_per_second_max.",
        hint: "",
    },
    Key {
        name: "limits.user_connects_per_second_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(user_rates.connects_per_second_max) },
        flag: None,
        help: "Connections of one user in a second; 0 for no limit",
        details: "Those beyond are refused (0x9F; 3.x: code 3). The user name is that under which a client comes in; \
                  a certificate may give it.",
        hint: "",
    },
    Key {
        name: "limits.user_messages_per_second_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(user_rates.messages_per_second_max) },
        flag: None,
        help: "Publications of all clients of one user in a second; 0 for no limit",
        details: "As limits.address_messages_per_second_max.",
        hint: "",
    },
    Key {
        name: "limits.user_bytes_per_second_max",
        kind: Kind::Size { range: 0..=PIB, field: field!(user_rates.bytes_per_second_max) },
        flag: None,
        help: "Bytes of all clients of one user in a second; 0 for no limit",
        details: "As limits.address_messages_per_second_max.",
        hint: "",
    },
    Key {
        name: "limits.rate_pause_max",
        kind: Kind::Duration {
            unit: Unit::Milliseconds,
            range: 0..=HOUR_MS,
            field: field!(limits.rate_pause_ms_max),
        },
        flag: None,
        help: "Time for which a client may be over its rates without a break; 0 for any",
        details: "A client that is over one of its rates, or of those that it shares, is not read for a while, \
                  which is counted in `$SYS/broker/clients/pauses`. One that goes on like this for so long, \
                  keeping to its rates for less than a second in between, is disconnected (0x96; 3.x: closed).",
        hint: "",
    },
    Key {
        name: "limits.takeovers_undelayed_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(limits.takeovers_undelayed_max) },
        flag: None,
        help: "Takeovers of one client id in a minute that happen at once; 0 for all",
        details: "Two clients with one client id take the session from each other for ever. After so many takeovers \
                  that is logged once, with both addresses, and the next ones wait before they are let in: each \
                  a little longer, at most 5 seconds. Nobody is refused. \
                  `$SYS/broker/clients/takeovers_delayed` counts those that waited.",
        hint: "",
    },
    Key {
        name: "limits.match_visits_per_second_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(limits.match_visits_per_second_max) },
        flag: None,
        help: "Nodes of the filter index visited for one client in a second; 0 for no limit",
        details: "An ordinary publication visits a few and is not charged. Filters made to be expensive \
                  (`a/+/+/+`, thousands of them) make the clients that publish below them wait, like \
                  limits.messages_per_second_max.",
        hint: "",
    },
    Key {
        name: "limits.subscription_bytes_max",
        kind: Kind::Size { range: 65_535..=PIB, field: field!(limits.subscription_bytes_max) },
        flag: None,
        help: "Topic filters of one session together",
        details: "A further subscription is refused with 0x97 (3.x: 0x80).",
        hint: "",
    },
    Key {
        name: "limits.route_cache_bytes_max",
        kind: Kind::Size { range: 0..=PIB, field: field!(limits.route_cache_bytes_max) },
        flag: None,
        help: "Memory of each shard for routes it has found",
        details: "A route says who gets the publications of a topic. What does not fit is searched for \
                  again.",
        hint: "",
    },
    Key {
        name: "limits.mailbox_bytes_max",
        kind: Kind::Size { range: 65_536..=PIB, field: field!(limits.mailbox_bytes_max) },
        flag: None,
        help: "Publications on their way from shard to shard",
        details: "When a shard cannot keep up, the clients that publish to its sessions are not read until \
                  it has; nothing is lost and nobody else waits.",
        hint: "",
    },
    Key {
        name: "limits.connect_timeout",
        kind: Kind::Duration {
            unit: Unit::Milliseconds,
            range: 100..=HOUR_MS,
            field: field!(limits.connect_timeout_ms),
        },
        flag: None,
        help: "Time between a connection and its complete CONNECT",
        details: "A connection that needs longer is closed.",
        hint: "",
    },
    Key {
        name: "limits.packet_bytes_max",
        kind: Kind::Size { range: 64..=PACKET_BYTES_MAX, field: field!(limits.packet_bytes_max) },
        flag: None,
        help: "Longest packet accepted",
        details: "Announced to 5.0 clients as Maximum Packet Size. A longer packet ends the connection \
                  (0x95) before memory is reserved for it. A CONNECT is at most 1 MiB, whatever stands here.",
        hint: "",
    },
    Key {
        name: "limits.payload_bytes_max",
        kind: Kind::Size { range: 0..=PIB, field: field!(limits.payload_bytes_max) },
        flag: None,
        help: "Longest payload accepted; 0 for as long as its packet may be",
        details: "A longer publication is refused (0x83), and its connection goes on.",
        hint: "",
    },
    Key {
        name: "limits.receive_maximum",
        kind: Kind::Number { range: 1..=U16_MAX, field: field!(limits.receive_maximum) },
        flag: None,
        help: "Unacknowledged QoS 1 and 2 publications accepted from one client",
        details: "Announced to 5.0 clients as Receive Maximum. What it sends beyond that waits while it is our \
                  turn to acknowledge; a client that exceeds it with QoS 2 that it does not release is \
                  disconnected (0x93). Many clients do not heed a lower one, so that a burst of theirs ends.",
        hint: "",
    },
    Key {
        name: "limits.inflight_messages_max",
        kind: Kind::Number { range: 1..=U16_MAX, field: field!(limits.inflight_messages_max) },
        flag: None,
        help: "Unacknowledged QoS 1 and 2 deliveries to one 5.0 client",
        details: "A lower Receive Maximum of the client prevails. Further messages wait in the queue.",
        hint: "",
    },
    Key {
        name: "limits.inflight_messages_max_v3",
        kind: Kind::Number { range: 1..=U16_MAX, field: field!(limits.inflight_messages_max_v3) },
        flag: None,
        help: "Unacknowledged QoS 1 and 2 deliveries to one 3.1 or 3.1.1 client",
        details: "These clients cannot say how many they can take. Further messages wait in the queue.",
        hint: "",
    },
    Key {
        name: "limits.topic_alias_maximum",
        kind: Kind::Number { range: 0..=U16_MAX, field: field!(limits.topic_alias_maximum) },
        flag: None,
        help: "Topic aliases accepted from one client; 0 for none",
        details: "Announced to 5.0 clients as Topic Alias Maximum. A higher alias ends the connection \
                  (0x94).",
        hint: "",
    },
    Key {
        name: "limits.topic_alias_maximum_out",
        kind: Kind::Number { range: 0..=U16_MAX, field: field!(limits.topic_alias_maximum_out) },
        flag: None,
        help: "Topic aliases used towards one client; 0 for none",
        details: "A lower Topic Alias Maximum of the client prevails.",
        hint: "",
    },
    Key {
        name: "limits.keep_alive_max",
        kind: Kind::Duration {
            unit: Unit::Seconds,
            range: 0..=U16_MAX,
            field: field!(limits.keep_alive_seconds_max),
        },
        flag: None,
        help: "Longest keep alive granted; 0 for no limit",
        details: "A 5.0 client that asks for more, or for none, is given this one as Server Keep Alive. A \
                  3.x client keeps its own.",
        hint: "",
    },
    Key {
        name: "limits.session_expiry_max",
        kind: Kind::Lifetime(field!(limits.session_expiry_seconds_max)),
        flag: None,
        help: "Longest time a session outlives its connection",
        details: "It also holds for 3.x clients with a session that is not clean. A 5.0 client that asks \
                  for more is told the shorter Session Expiry Interval.",
        hint: "",
    },
    Key {
        name: "limits.queue_messages_max",
        kind: Kind::Number { range: 0..=COUNT_MAX, field: field!(limits.queue_messages_max) },
        flag: None,
        help: "Messages waiting for one session; 0 for no limit by count",
        details: "What exceeds it is dropped and counted.",
        hint: "",
    },
    Key {
        name: "limits.queue_bytes_max",
        kind: Kind::Size { range: KIB..=PIB, field: field!(limits.queue_bytes_max) },
        flag: None,
        help: "Bytes of messages waiting for one session",
        details: "What exceeds it is dropped and counted.",
        hint: "",
    },
    Key {
        name: "limits.queue_age_max",
        kind: Kind::Duration {
            unit: Unit::Seconds,
            range: 0..=U32_MAX,
            field: field!(limits.queue_age_seconds_max),
        },
        flag: None,
        help: "Age after which a waiting message is dropped; 0 for no limit",
        details: "A shorter Message Expiry Interval of the message prevails.",
        hint: "",
    },
    Key {
        name: "limits.queue_qos0",
        kind: Kind::Switch(field!(limits.queue_qos0)),
        flag: None,
        help: "Whether QoS 0 messages wait for offline sessions",
        details: "The standard leaves it open. When `false`, a session that is not connected misses QoS 0 \
                  messages.",
        hint: "",
    },
    Key {
        name: "limits.output_bytes_max",
        kind: Kind::Size { range: KIB..=TIB, field: field!(limits.output_bytes_max) },
        flag: None,
        help: "Bytes waiting to be sent on one connection",
        details: "Above it QoS 0 messages for this client are dropped and counted, and others stay in the \
                  queue.",
        hint: "",
    },
    Key {
        name: "limits.retained_messages_max",
        kind: Kind::Number { range: 0..=COUNT_MAX, field: field!(limits.retained_messages_max) },
        flag: None,
        help: "Retained messages kept; 0 for no limit by count",
        details: "A further one is refused (0x97). Replacing and clearing always work.",
        hint: "",
    },
    Key {
        name: "limits.retained_bytes_max",
        kind: Kind::Size { range: KIB..=PIB, field: field!(limits.retained_bytes_max) },
        flag: None,
        help: "Bytes of retained messages kept, topics and properties included",
        details: "A publication that would exceed it is refused (0x97).",
        hint: "",
    },
    Key {
        name: "limits.subscriptions_max",
        kind: Kind::Number { range: 1..=U32_MAX, field: field!(limits.subscriptions_max) },
        flag: None,
        help: "Subscriptions of one session",
        details: "A further filter is refused (0x97).",
        hint: "",
    },
    Key {
        name: "limits.wildcard_subscriptions_max",
        kind: Kind::Number { range: 0..=U32_MAX, field: field!(limits.wildcard_subscriptions_max) },
        flag: None,
        help: "Subscriptions with wildcards of one session",
        details: "They cost more to match than others. A further filter is refused (0x97).",
        hint: "",
    },
    Key {
        name: "limits.topic_levels_max",
        kind: Kind::Number { range: 1..=U16_MAX, field: field!(limits.topic_levels_max) },
        flag: None,
        help: "Levels of a topic name or filter",
        details: "A publication or subscription with more is refused.",
        hint: "",
    },
    Key {
        name: "limits.topic_bytes_max",
        kind: Kind::Size { range: 1..=U16_MAX, field: field!(limits.topic_bytes_max) },
        flag: None,
        help: "Length of a topic name or filter",
        details: "A publication or subscription with a longer one is refused.",
        hint: "",
    },
    Key {
        name: "limits.client_id_bytes_max",
        kind: Kind::Size { range: 23..=U16_MAX, field: field!(limits.client_id_bytes_max) },
        flag: None,
        help: "Length of a client identifier",
        details: "A client with a longer one is refused. The standard asks for 23 at least [MQTT-3.1.3-5].",
        hint: "",
    },
    Key {
        name: "limits.disconnect_refused_v3",
        kind: Kind::Switch(field!(limits.disconnect_refused_v3)),
        flag: None,
        help: "Whether a 3.x client whose publication is refused is disconnected",
        details: "Its acknowledgement has no room for a reason. When `false`, the publication is \
                  acknowledged, dropped and recorded in the drop ledger.",
        hint: "",
    },
    Key {
        name: "limits.drop_ledger_entries_max",
        kind: Kind::Number { range: 0..=10_000_000, field: field!(drop_ledger_entries_max) },
        flag: None,
        help: "Dropped messages remembered in the drop ledger; 0 for none",
        details: "The newest ones are kept. Counters count all.",
        hint: "",
    },
];

pub(super) fn is_text(text: &str) -> bool {
    !text.contains('\0')
}

/// A text that an MQTT packet can carry [MQTT-1.5.4-2].
fn is_mqtt_text(text: &str) -> bool {
    text.len() <= usize::from(u16::MAX) && is_text(text)
}

/// A format of strftime that says something; of the time, if it says that.
fn is_time_format(text: &str) -> bool {
    let is_line = !text.contains(char::is_control) && text.len() <= TIME_FORMAT_BYTES_MAX;
    is_line && jiff::fmt::strtime::format(text, &jiff::Zoned::default()).is_ok()
}

fn is_topic_prefix(text: &str) -> bool {
    is_mqtt_text(text) && !text.contains(['+', '#'])
}

const U16_MAX: u64 = u16::MAX as u64;
const U32_MAX: u64 = u32::MAX as u64;
const KIB: u64 = 1 << 10;
const TIB: u64 = 1 << 40;
const PIB: u64 = 1 << 50;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The longest packet of the wire format: 5 bytes of fixed header and the largest remaining length (§2.1.4).
pub(super) const PACKET_BYTES_MAX: u64 = 5 + 268_435_455;

/// A log line is for a screen.
const TIME_FORMAT_BYTES_MAX: usize = 100;

/// More things than a machine holds, and still exact in JSON numbers.
const COUNT_MAX: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::raw::Raw;
    use super::super::units::show_duration;
    use super::super::{Config, Value};
    use super::*;

    /// The ends of the range of a key, as they are written.
    fn range(key: &Key) -> Option<[Raw; 2]> {
        let number = |number: &u64| Raw::Integer((*number).into());
        match &key.kind {
            Kind::Number { range, .. } | Kind::Size { range, .. } => {
                Some([range.start(), range.end()].map(number))
            }
            Kind::Duration { unit, range, .. } => {
                Some([range.start(), range.end()].map(|end| Raw::Quoted(show_duration(unit.duration(*end)))))
            }
            _ => None,
        }
    }

    /// A value other than the default, if the key takes one.
    fn another(key: &Key) -> Option<Raw> {
        let default = key.value(&Config::default());
        let text = |text: &str| Some(Raw::Plain(text.into()));
        match &key.kind {
            Kind::Switch(_) => Some(Raw::Boolean(default == Value::Boolean(false))),
            Kind::Lifetime(_) => text("1s"),
            Kind::Text { .. } | Kind::Texts { .. } | Kind::Path(_) => text("other"),
            Kind::Url(_) => text("tcp://[::1]:2"),
            Kind::Versions(_) => text("3.1"),
            Kind::Log(_) => text("trace"),
            Kind::Listen(_) => text("tcp://[::1]:1"),
            Kind::Rules(_) => text("a/#=memory"),
            Kind::LogPlaces(_) => text("stdout"),
            Kind::Word(field) => {
                let words = (field.get)(&Config::default()).words();
                words.into_iter().find(|word| default != Value::Text((*word).into())).and_then(text)
            }
            Kind::Number { .. } | Kind::Size { .. } | Kind::Duration { .. } => {
                range(key)?.into_iter().find(|end| changed(key, end).value(key) != default)
            }
        }
    }

    fn changed(key: &Key, raw: &Raw) -> Changed {
        let mut config = Config::default();
        key.kind.write(&mut config, raw).unwrap_or_else(|refusal| panic!("{}: {refusal:?}", key.name));
        Changed(config)
    }

    struct Changed(Config);

    impl Changed {
        fn value(&self, key: &Key) -> Value {
            key.value(&self.0)
        }
    }

    #[test]
    fn names_are_plain_and_unique() {
        let mut variables = HashSet::from(["NOCTULE_CONFIG".to_owned()]);
        let mut flags = HashSet::from(["config".to_owned(), "set".to_owned(), "json".to_owned()]);
        for key in KEYS {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
            assert!(key.name.bytes().all(plain), "{}", key.name);
            assert!(variables.insert(key.variable()), "{}", key.name);
            assert!(flags.insert(key.flag_name()), "{}", key.name);
        }
    }

    #[test]
    fn texts_have_one_form() {
        for key in KEYS {
            assert!(!key.help.ends_with('.') && key.help.starts_with(char::is_uppercase), "{}", key.name);
            assert!(key.details.ends_with('.'), "{}", key.name);
        }
    }

    #[test]
    fn sections_stand_together() {
        let mut sections: Vec<&str> = KEYS.iter().map(Key::section).collect();
        sections.dedup();
        assert_eq!(sections, ["", "tls", "websocket", "access", "mqtt", "limits"]);
    }

    #[test]
    fn the_whole_range_is_held() {
        for key in KEYS {
            let Some([start, end]) = range(key) else { continue };
            for raw in [start, end] {
                let value = changed(key, &raw).value(key);
                let again = changed(key, &Raw::Plain(value.plain())).value(key);
                assert_eq!(again, value, "{}", key.name);
                let shown = match raw {
                    Raw::Integer(number) => Raw::Integer(number).to_string(),
                    other => other.text().unwrap_or_default().to_owned(),
                };
                let held = match value {
                    Value::Number(number) | Value::Size(number) => number.to_string(),
                    value => value.plain(),
                };
                assert_eq!(held, shown, "{} cannot hold an end of its range", key.name);
            }
        }
    }

    #[test]
    fn beyond_the_range_is_refused() {
        for key in KEYS {
            let (start, end) = match &key.kind {
                Kind::Number { range, .. } | Kind::Size { range, .. } => (*range.start(), *range.end()),
                _ => continue,
            };
            for beyond in [i128::from(start) - 1, i128::from(end) + 1] {
                let refused = key.kind.write(&mut Config::default(), &Raw::Integer(beyond));
                assert!(refused.is_err(), "{} takes {beyond}", key.name);
            }
        }
    }

    /// Each key changes its own field and no other, and every field that the protocol reads has a key.
    #[test]
    fn keys_and_fields_go_together() {
        let before = Config::default();
        let mut all = Config::default();
        for key in KEYS {
            let Some(raw) = another(key) else { continue };
            let Changed(config) = changed(key, &raw);
            let differing: Vec<&str> = KEYS
                .iter()
                .filter(|other| other.value(&config) != other.value(&before))
                .map(|key| key.name)
                .collect();
            assert_eq!(differing, [key.name]);
            key.kind.write(&mut all, &raw).expect("it was taken before");
        }
        // A list takes as many lines as it has items; it has been seen to change above.
        all.limits.durability_rules.clear();
        let lines = |config: &Config| -> Vec<String> {
            let lines = format!("{:#?}", config.limits);
            lines.lines().filter(|line| !line.contains("durability_rules")).map(str::to_owned).collect()
        };
        let (before, after) = (lines(&before), lines(&all));
        let fields = 1..before.len() - 1;
        assert_eq!(before.len(), after.len());
        for field in fields {
            assert_ne!(before[field], after[field], "this field of Limits has no key");
        }
    }

    #[test]
    fn only_what_is_not_there_yet_takes_a_single_value() {
        let fixed: Vec<&str> = KEYS.iter().filter(|key| another(key).is_none()).map(|key| key.name).collect();
        assert_eq!(fixed, ["http"]);
    }
}
