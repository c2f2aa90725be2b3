//! Whole configurations as people have them: they start under `--mosquitto` and behave like the real one.

use std::os::unix::net::UnixStream;

use noctule_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

use super::brokers::{Files, Kind, PATIENCE, Subject};
use super::client::{Client, Hello};
use super::{probes, tls};

/// A configuration and the files beside it.
struct Whole {
    name: &'static str,
    conf: &'static str,
    files: fn() -> Files,
    probe: fn(&mut Subject) -> Vec<String>,
}

#[test]
fn whole_configurations_behave_alike() {
    for whole in WHOLE {
        let [ours, theirs] = [Kind::Noctule, Kind::Mosquitto].map(|kind| whole.observe(kind));
        assert_eq!(ours, theirs, "{}", whole.name);
    }
}

impl Whole {
    fn observe(&self, kind: Kind) -> Vec<String> {
        let mut subject = Subject::start(kind, &format!("whole_{}", self.name), self.conf, &(self.files)());
        assert!(subject.is_running, "{} under {kind:?}: {}", self.name, subject.stderr());
        (self.probe)(&mut subject)
    }
}

/// What an ordinary client does in a day: every QoS, retained messages, a will, a session.
fn a_day(at: &mut Subject) -> Vec<String> {
    a_day_of(at, Hello::new("panel"), Hello::new("sensor"))
}

fn a_day_of(at: &mut Subject, panel: Hello<'_>, sensor: Hello<'_>) -> Vec<String> {
    let durable = panel.durable();
    let mut client = Client::connected(at, durable);
    let mut seen =
        vec![client.subscribe("house/#", ExactlyOnce), client.subscribe("house/+/temp", AtLeastOnce)];
    let mut other = Client::connected(at, Hello { will: Some("house/sensor/state"), ..sensor });
    for (topic, qos, retain) in [
        ("house/kitchen/temp", AtMostOnce, false),
        ("house/kitchen/lamp", AtLeastOnce, true),
        ("house/cellar/pump", ExactlyOnce, false),
        ("garden/temp", AtLeastOnce, false),
        ("house", AtMostOnce, false),
    ] {
        seen.push(other.publish(topic, topic, qos, retain));
    }
    seen.extend(unique(client.heard()));
    client.vanish();
    seen.push(other.publish("house/cellar/pump", "away", AtLeastOnce, false));
    let mut client = Client::dial(at).expect("the broker listens");
    seen.push(format!("present: {}", client.connect(durable).session_present));
    seen.extend(client.next_message());
    other.vanish();
    seen.extend(client.next_message());
    let mut fresh = Client::connected(at, Hello { client_id: "fresh", ..sensor });
    seen.push(fresh.subscribe("house/kitchen/#", AtLeastOnce));
    seen.extend(fresh.heard());
    seen
}

/// Filters that overlap may bring a message once or twice.
fn unique(mut seen: Vec<String>) -> Vec<String> {
    seen.dedup();
    seen
}

/// Who comes in, and a day of those who do.
fn a_day_with_passwords(at: &mut Subject) -> Vec<String> {
    let mut seen = probes::users(at);
    let (panel, sensor) = (Hello::new("panel"), Hello::new("sensor"));
    seen.extend(a_day_of(at, panel.user("anna", "secret"), sensor.user("berta", "secret")));
    seen
}

/// The same with rights of each user.
fn a_day_with_rights(at: &mut Subject) -> Vec<String> {
    let mut anna = Client::connected(at, Hello::new("one").user("anna", "secret"));
    let mut berta = Client::connected(at, Hello::new("two").user("berta", "secret"));
    let mut seen = probes::users(at);
    for client in [&mut anna, &mut berta] {
        seen.push(client.subscribe("#", AtLeastOnce));
        for topic in ["anna/x", "berta/x", "open/x", "secret/x"] {
            seen.push(client.publish(topic, topic, AtLeastOnce, false));
        }
    }
    for client in [&mut anna, &mut berta] {
        seen.extend(client.heard());
    }
    seen
}

/// A WebSocket beside it.
fn a_day_and_a_websocket(at: &mut Subject) -> Vec<String> {
    a_day_and_at_the_second_port(at, probes::websocket)
}

/// A day at the first port, then something else at the second one.
fn a_day_and_at_the_second_port(at: &mut Subject, probe: fn(&mut Subject) -> Vec<String>) -> Vec<String> {
    let mut seen = a_day(at);
    at.ports.swap(0, 1);
    seen.extend(probe(at));
    at.ports.swap(0, 1);
    seen
}

/// A day over TCP, of which somebody hears over the socket in the file system.
fn a_day_and_a_socket_file(at: &mut Subject) -> Vec<String> {
    let mut seen = a_day(at);
    let socket = UnixStream::connect(at.folder.join("broker.sock")).expect("the broker listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut client = Client::over(socket);
    seen.push(format!("in over the file: {}", client.connect(Hello::new("local")).is_in));
    seen.push(client.subscribe("house/kitchen/#", AtLeastOnce));
    seen.push(client.publish("house/from/file", "1", AtLeastOnce, false));
    seen.extend(client.heard());
    seen
}

/// People with passwords at one port, machines with certificates at the other, each with rights of its own.
fn a_shift_in_a_factory(at: &mut Subject) -> Vec<String> {
    let mut seen = a_day_with_rights(at);
    at.ports.swap(0, 1);
    seen.extend(tls::as_user(at));
    at.ports.swap(0, 1);
    seen
}

/// A night in which the broker is restarted, and the day behind it.
fn a_restart_and_a_day(at: &mut Subject) -> Vec<String> {
    let mut seen = probes::kept_over_restart(at);
    seen.extend(a_day(at));
    seen
}

fn for_a_factory() -> Files {
    let mut files = passwords_and_rights();
    files.extend(tls::certificates());
    files
}

fn passwords_and_rights() -> Files {
    let mut files = probes::passwords();
    files.extend(probes::acl());
    files
}

fn debian() -> Files {
    vec![
        ("conf.d/listener.conf", "listener {PORT} 127.0.0.1\nallow_anonymous true\n".into()),
        ("lib/README", String::new()),
    ]
}

fn debian_with_passwords() -> Files {
    let mut files = probes::passwords();
    files.push((
        "conf.d/default.conf",
        "allow_anonymous false\npassword_file passwords\nlistener {PORT}\n".into(),
    ));
    files.push(("lib/README", String::new()));
    files
}

/// What `listener` comes with, where the file of Debian has a folder for more.
const WHOLE: &[Whole] = &[
    Whole { name: "open", conf: "listener {PORT}\nallow_anonymous true\n", files: Vec::new, probe: a_day },
    Whole {
        name: "debian",
        conf: "# Place your local configuration in conf.d\npersistence true\npersistence_location lib/\n\
               log_dest file mosquitto.log\n\ninclude_dir conf.d\n",
        files: debian,
        probe: a_day,
    },
    Whole {
        name: "debian_passwords",
        conf: "pid_file mosquitto.pid\n\npersistence true\npersistence_location lib/\n\nlog_dest file mosquitto.log\n\n\
               include_dir conf.d\n",
        files: debian_with_passwords,
        probe: a_day_with_passwords,
    },
    Whole {
        name: "home",
        conf: "per_listener_settings false\nlistener {PORT}\nlistener {PORT2}\nprotocol websockets\n\
               allow_anonymous true\npersistence true\nautosave_interval 300\nlog_dest stdout\nlog_type all\n",
        files: Vec::new,
        probe: a_day_and_a_websocket,
    },
    Whole {
        name: "rights",
        conf: "listener {PORT} 127.0.0.1\nallow_anonymous true\npassword_file passwords\nacl_file rights\n\
               log_type warning\nlog_type error\nconnection_messages false\n",
        files: passwords_and_rights,
        probe: a_day_with_rights,
    },
    Whole {
        name: "old_style",
        conf: "port {PORT}\nmax_connections -1\nallow_anonymous true\nmax_queued_messages 1000\n\
               max_inflight_messages 20\nlog_timestamp true\nlog_timestamp_format %Y-%m-%dT%H:%M:%S\n\
               set_tcp_nodelay true\n",
        files: Vec::new,
        probe: a_day,
    },
    Whole {
        name: "by_listener",
        conf: "per_listener_settings true\n\nlistener {PORT} 127.0.0.1\nallow_anonymous true\n\n\
               listener {PORT2} 127.0.0.1\npassword_file passwords\nallow_anonymous false\n",
        files: probes::passwords,
        probe: |at| a_day_and_at_the_second_port(at, probes::users),
    },
    Whole {
        name: "certificates",
        conf: "listener {PORT} 127.0.0.1\nallow_anonymous true\n\nlistener {PORT2} 127.0.0.1\ncafile ca.pem\n\
               certfile server.pem\nkeyfile server.key\nrequire_certificate true\ntls_version tlsv1.2\n",
        files: tls::certificates,
        probe: |at| a_day_and_at_the_second_port(at, tls::with_certificates),
    },
    Whole {
        name: "tight",
        conf: "listener {PORT} 127.0.0.1\nallow_anonymous true\nmax_keepalive 120\nmax_packet_size 4096\n\
               message_size_limit 1024\nmax_queued_messages 3\nqueue_qos0_messages true\nsys_interval 60\n\
               persistent_client_expiration 1d\nmax_inflight_messages 5\n",
        files: Vec::new,
        probe: |at| {
            let mut seen = a_day(at);
            seen.extend(probes::queued(at));
            seen.extend(probes::keep_alive(at));
            seen
        },
    },
    Whole {
        name: "socket_file",
        conf: "listener {PORT} 127.0.0.1\nlistener 0 broker.sock\nallow_anonymous true\nlog_type warning\n",
        files: Vec::new,
        probe: a_day_and_a_socket_file,
    },
    Whole {
        name: "factory",
        conf: "per_listener_settings true\nmax_keepalive 600\n\nlistener {PORT} 127.0.0.1\npassword_file passwords\n\
               acl_file rights\nallow_anonymous true\n\n\
               listener {PORT2} 127.0.0.1\nmax_connections 100\ncafile ca.pem\n\
               certfile server.pem\nkeyfile server.key\nrequire_certificate true\nuse_identity_as_username true\n\
               acl_file identity\nallow_anonymous false\n",
        files: for_a_factory,
        probe: a_shift_in_a_factory,
    },
    Whole {
        name: "edge",
        conf: "listener {PORT} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location lib/\n\
               persistence_file edge.db\nautosave_interval 60\nautosave_on_changes false\nqueue_qos0_messages true\n\
               max_queued_messages 5000\nmax_inflight_messages 10\nretain_available true\nset_tcp_nodelay true\n\
               log_dest stdout\nlog_dest file edge.log\nlog_type notice\nconnection_messages false\n",
        files: || vec![("lib/README", String::new())],
        probe: a_restart_and_a_day,
    },
    Whole {
        name: "with_a_bridge",
        conf: "listener {PORT} 127.0.0.1\nallow_anonymous true\n\nconnection cloud\naddress 127.0.0.1:{PORT3}\n\
               topic # out 1 house/ cloud/\nremote_username house\nremote_password secret\ntry_private false\n\
               notifications false\nstart_type automatic\nrestart_timeout 300\n",
        files: Vec::new,
        probe: a_day,
    },
];
