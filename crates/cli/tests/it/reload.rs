//! SIGHUP: another configuration for a broker that runs.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Stdio};
use std::sync::Arc;

use noctule_codec::{Packet, PacketId, ProtocolVersion, Publish, QoS, ReasonCode};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::peer::{Peer, publish};
use crate::support::{Broker, folder, noctule, tls_client, trusting};

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A broker whose log is read, in a folder with its configuration.
struct Reloaded {
    broker: Broker,
    log: BufReader<ChildStderr>,
    folder: PathBuf,
    ready: String,
}

impl Reloaded {
    fn start(test: &str, config: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = folder(test);
        prepare(&folder);
        fs::write(folder.join("noctule.toml"), config).expect("a writable folder for tests");
        let mut broker = Broker::start(&mut noctule(&folder, &["--config", "noctule.toml"]));
        let log = BufReader::new(broker.child.stderr.take().expect("a pipe"));
        let ready = broker.ready();
        Self { broker, log, folder, ready }
    }

    /// Has this be the configuration, and waits until the log says `said`. Gives the lines before it and itself.
    fn reload(&mut self, config: &str, said: &str) -> Vec<String> {
        fs::write(self.folder.join("noctule.toml"), config).expect("a writable folder for tests");
        kill_process(Pid::from_child(&self.broker.child), Signal::HUP).expect("a running broker");
        self.lines_until(said)
    }

    fn lines_until(&mut self, said: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let length = self.log.read_line(&mut line).expect("UTF-8");
            assert!(length > 0, "the broker ended before {said:?}: {lines:?}");
            lines.push(line.clone());
            if line.contains(said) {
                return lines;
            }
        }
    }

    /// Where the nth listener is.
    fn address(&self, n: usize) -> &str {
        let place = self.ready.split(' ').filter(|place| place.contains("://")).nth(n);
        place.and_then(|place| place.split_once("://")).unwrap_or_else(|| panic!("{}", self.ready)).1
    }
}

const DONE: &str = "the configuration has been reloaded";

/// Says CONNECT and hears CONNACK; what CONNACK says.
fn connect(stream: &mut (impl std::io::Read + std::io::Write), client_id: &str) -> u8 {
    let length = u8::try_from(12 + client_id.len()).expect("a short client id");
    let id_length = length - 12;
    let head = [0x10, length, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, id_length];
    stream.write_all(&[&head, client_id.as_bytes()].concat()).expect("the broker reads");
    stream.flush().expect("the broker reads");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).expect("CONNACK");
    answer[3]
}

fn is_alive(stream: &mut (impl std::io::Read + std::io::Write)) -> bool {
    let mut answer = [0; 2];
    stream.write_all(&[0xc0, 0]).is_ok()
        && stream.flush().is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer == [0xd0, 0]
}

fn tcp(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("a socket");
    Ok(stream)
}

/// Writes another certificate for `broker.lan`.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["broker.lan".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    fs::write(folder.join("server.pem"), certificate.pem()).expect("a writable folder for tests");
    fs::write(folder.join("server.key"), key.serialize_pem()).expect("a writable folder for tests");
    certificate.der().clone()
}

fn tls(address: &str, config: &Arc<ClientConfig>) -> Tls {
    StreamOwned::new(tls_client(config), tcp(address).expect("the broker listens"))
}

const TLS: &str = r#"
log = "info"
sys_interval = 0
[[listener]]
url = "tls://127.0.0.1:0"
certificate = ["server.pem"]
key = ["server.key"]
"#;

#[test]
fn a_certificate_is_swapped_under_a_thousand_connections_and_none_is_lost() {
    let mut first = None;
    let mut broker = Reloaded::start("reload_certificate", &TLS.replace("info", "warn"), |folder| {
        first = Some(certify(folder));
    });
    let address = broker.address(0).to_owned();
    let old = trusting(&first.expect("a certificate"));
    let mut streams: Vec<Tls> = (0..1000).map(|_| tls(&address, &old)).collect();
    for (n, stream) in streams.iter_mut().enumerate() {
        assert_eq!(connect(stream, &format!("c{n}")), 0);
    }
    let new = trusting(&certify(&broker.folder));
    broker.reload(TLS, DONE);
    assert_eq!(connect(&mut tls(&address, &new), "new"), 0, "a new connection sees the new certificate");
    let seen = tls(&address, &old).write_all(&[0]).expect_err("the old one is gone");
    assert!(seen.to_string().contains("certificate"), "{seen}");
    let lost = streams.iter_mut().filter_map(|stream| (!is_alive(stream)).then_some(())).count();
    assert_eq!(lost, 0);
}

#[test]
fn listeners_come_and_go_and_connections_stay() {
    let one = "log = \"info\"\nsys_interval = 0\nlisten = [\"tcp://127.0.0.1:0\"]\n";
    let mut broker = Reloaded::start("reload_listeners", one, |_| {});
    let address = broker.address(0).to_owned();
    let mut first = tcp(&address).expect("the broker listens");
    assert_eq!(connect(&mut first, "first"), 0);

    let two = format!("{one}[[listener]]\nurl = \"unix:two.sock\"\nmount_point = \"two/\"\n");
    let lines = broker.reload(&two, DONE);
    assert!(lines.iter().any(|line| line.contains("a listener begins") && line.contains("unix:two.sock")));
    assert!(is_alive(&mut first));
    let socket = broker.folder.join("two.sock");
    let mut second = std::os::unix::net::UnixStream::connect(&socket).expect("the broker listens");
    assert_eq!(connect(&mut second, "second"), 0);
    assert_eq!(connect(&mut tcp(&address).expect("it still listens"), "third"), 0);

    let other =
        "log = \"info\"\nsys_interval = 0\n[[listener]]\nurl = \"unix:two.sock\"\nconnections_max = 1\n";
    let lines = broker.reload(other, DONE);
    assert!(lines.iter().any(|line| line.contains("a listener ends") && line.contains("tcp://127.0.0.1:0")));
    assert!(tcp(&address).is_err(), "nobody listens there any more");
    assert!(is_alive(&mut first), "its connections stay");
    assert!(is_alive(&mut second));
    let mut surplus = std::os::unix::net::UnixStream::connect(&socket).expect("it still listens");
    assert_eq!(connect(&mut surplus, "surplus"), 3, "connections are counted on");
}

#[test]
fn a_wrong_configuration_changes_nothing_and_the_log_says_what_is_wrong() {
    let good = "log = \"info\"\nsys_interval = 0\nlisten = [\"tcp://127.0.0.1:0\"]\n\
                [limits]\npacket_bytes_max = 1000\n";
    let mut broker = Reloaded::start("reload_wrong", good, |_| {});
    let address = broker.address(0).to_owned();
    let mut first = tcp(&address).expect("the broker listens");
    assert_eq!(connect(&mut first, "first"), 0);
    let kept = "and the old one stays: ";
    for (config, said) in [
        ("shards = 257\nlgo = 1\n".to_owned(), "noctule.toml:2:1: there is no key lgo"),
        (good.replace("tcp://", "tls://"), "needs a certificate; name its file in tls.certificate"),
        (
            format!("{good}[[listener]]\nurl = \"tcp://192.0.2.1:1\"\n"),
            "this machine has no address 192.0.2.1",
        ),
        (format!("{good}[[listener]]\nurl = \"tcp://{address}\"\n"), "is already in use"),
    ] {
        let lines = broker.reload(&config, said);
        assert!(lines.last().is_some_and(|line| line.contains(kept) && line.contains("ERROR")), "{lines:?}");
        assert!(is_alive(&mut first));
        assert_eq!(connect(&mut tcp(&address).expect("it still listens"), "again"), 0);
    }
    // What was wrong is not kept either.
    let lines = broker.reload(&good.replace("1000", "2000"), DONE);
    assert!(!lines.iter().any(|line| line.contains("ERROR")), "{lines:?}");
}

#[test]
fn limits_and_the_log_change_and_what_cannot_is_named() {
    let config = |log: &str, bytes: u32, rest: &str| {
        format!(
            "log = \"{log}\"\nsys_interval = 0\nlisten = [\"tcp://127.0.0.1:0\"]\n{rest}\
             [limits]\npacket_bytes_max = {bytes}\n"
        )
    };
    let mut broker = Reloaded::start("reload_limits", &config("info", 1000, ""), |_| {});
    let address = broker.address(0).to_owned();
    let mut first = tcp(&address).expect("the broker listens");
    assert_eq!(connect(&mut first, "first"), 0);
    let rest = "shards = 3\ndata_dir = \"elsewhere\"\ndurability = \"os\"\n";
    let lines = broker.reload(&config("debug", 100, rest), DONE);
    let named = lines.iter().filter(|line| line.contains("need a restart")).collect::<Vec<_>>();
    assert_eq!(named.len(), 1, "{lines:?}");
    assert!(named[0].contains("data_dir, durability, shards"), "{named:?}");
    assert!(!broker.folder.join("elsewhere").exists());

    // A packet of 200 bytes: the first connection was told that it may.
    let publish = [&[0x30, 0xc8, 1, 0, 1, b't'][..], &[b'x'; 197]].concat();
    first.write_all(&publish).expect("the broker reads");
    assert!(is_alive(&mut first));
    let mut second = tcp(&address).expect("the broker listens");
    assert_eq!(connect(&mut second, "second"), 0);
    second.write_all(&publish).expect("the broker reads");
    assert_eq!(second.read(&mut [0; 16]).unwrap_or(0), 0, "it is closed");

    let lines = broker.reload(&config("warn", 100, rest), "need a restart");
    assert!(lines.iter().all(|line| !line.contains(DONE)), "{lines:?}");
    fs::write(broker.folder.join("noctule.toml"), "lgo = 1").expect("a writable folder for tests");
    let lines = broker.reload("lgo = 1", "there is no key lgo");
    assert!(lines.iter().all(|line| !line.contains("INFO")), "{lines:?}");
}

/// Gives a user a password.
fn give_password(folder: &Path, user: &str) {
    let mut command = noctule(folder, &["passwd", "users.txt", user]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary");
    child.stdin.take().expect("a pipe").write_all(b"secret\n").expect("it reads");
    assert!(child.wait().expect("it ends").success());
}

/// Publishes at QoS 1; what the broker says to it.
fn told(peer: &mut Peer, topic: &str) -> ReasonCode {
    let publish = Publish { qos: QoS::AtLeastOnce, packet_id: PacketId::new(9), ..publish(topic, b"") };
    peer.send(&Packet::Publish(publish));
    let code = peer.receive(|packet| match packet {
        Packet::PubAck(ack) => ack.reason_code,
        other => panic!("{other:?}"),
    });
    code.expect("an answer")
}

#[test]
fn users_and_rules_are_read_anew_and_hold_for_those_who_are_there() {
    let config = "log = \"info\"\nsys_interval = 0\nlisten = [\"tcp://127.0.0.1:0\"]\n\
                  [access]\nanonymous = \"never\"\nusers = [\"users.txt\"]\nrules = \"rules.txt\"\n";
    let mut broker = Reloaded::start("reload_access", config, |folder| {
        give_password(folder, "anna");
        fs::write(folder.join("rules.txt"), "allow all # user=*\n").expect("a writable folder for tests");
    });
    let address: SocketAddr = broker.address(0).parse().expect("an address");
    let come = |user| Peer::connect_as(address, ProtocolVersion::V5, user, Some((user, "secret")));
    let mut anna = come("anna").expect("she is known");
    assert_eq!(told(&mut anna, "a/b"), ReasonCode::NoMatchingSubscribers);
    assert_eq!(come("bert").err(), Some(ReasonCode::BadUserNameOrPassword));

    // Mistakes in these files refuse everything.
    fs::write(broker.folder.join("rules.txt"), "allow al #\n").expect("a writable folder for tests");
    let more = format!("{config}[limits]\npacket_bytes_max = 100\n");
    let lines = broker.reload(&more, "rules.txt:1");
    assert!(lines.last().is_some_and(|line| line.contains("the old one stays")), "{lines:?}");
    assert_eq!(told(&mut anna, "a/b"), ReasonCode::NoMatchingSubscribers);

    give_password(&broker.folder, "bert");
    let rules = "allow all b/# user=*\n";
    fs::write(broker.folder.join("rules.txt"), rules).expect("a writable folder for tests");
    broker.reload(config, DONE);
    let mut bert = come("bert").expect("he is known now");
    assert_eq!(told(&mut bert, "b/c"), ReasonCode::NoMatchingSubscribers);
    assert_eq!(told(&mut anna, "a/b"), ReasonCode::NotAuthorized, "the new rules hold for her too");

    let users = fs::read_to_string(broker.folder.join("users.txt")).expect("the file");
    let others: String = users.lines().filter(|line| !line.starts_with("anna:")).collect();
    fs::write(broker.folder.join("users.txt"), others + "\n").expect("a writable folder for tests");
    broker.reload(config, DONE);
    assert!(anna.is_closed(), "she is no user any more");
    assert_eq!(told(&mut bert, "b/c"), ReasonCode::NoMatchingSubscribers);
    assert_eq!(come("anna").err(), Some(ReasonCode::BadUserNameOrPassword));
}

#[test]
fn a_listener_has_users_of_its_own_from_its_first_client_on() {
    let one = "log = \"info\"\nsys_interval = 0\nlisten = [\"tcp://127.0.0.1:0\"]\n";
    let mut broker = Reloaded::start("reload_listener_access", one, |folder| give_password(folder, "anna"));
    let address = broker.address(0).to_owned();
    assert_eq!(connect(&mut tcp(&address).expect("the broker listens"), "first"), 0);
    let two = "[[listener]]\nurl = \"unix:two.sock\"\nanonymous = \"never\"\nusers = [\"users.txt\"]\n";
    broker.reload(&format!("{one}{two}"), DONE);
    let socket = broker.folder.join("two.sock");
    let mut second = std::os::unix::net::UnixStream::connect(&socket).expect("the broker listens");
    assert_eq!(connect(&mut second, "second"), 5, "only users come in there");
    assert_eq!(connect(&mut tcp(&address).expect("it still listens"), "third"), 0);
}

#[test]
fn a_change_of_a_file_reloads_where_that_is_asked_for() {
    let config = TLS.replace("sys_interval = 0", "sys_interval = 0\nreload_on_change = true");
    let mut broker = Reloaded::start("reload_on_change", &config, |folder| {
        certify(folder);
    });
    let address = broker.address(0).to_owned();
    let new = trusting(&certify(&broker.folder));
    broker.lines_until(DONE);
    assert_eq!(connect(&mut tls(&address, &new), "new"), 0);

    // As editors do it: another file takes the place of the old one.
    let beside = broker.folder.join("noctule.new");
    fs::write(&beside, config.replace("reload_on_change = true\n", "")).expect("a writable folder for tests");
    fs::rename(&beside, broker.folder.join("noctule.toml")).expect("a writable folder for tests");
    broker.lines_until(DONE);
    let wrong = broker.reload("lgo = 1", "there is no key lgo");
    assert!(wrong.iter().all(|line| !line.contains(DONE)), "nobody watches any more: {wrong:?}");
}
