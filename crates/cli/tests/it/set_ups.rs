//! The three set-ups of `docs/security.md`, taken out of the page: what is to work works, what is not is refused.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use noctule_codec::QoS::AtLeastOnce;

use crate::mosquitto::client::{Client, Hello};
use crate::support::{Broker, folder, noctule, outcome, place};

type Tls = StreamOwned<ClientConnection, TcpStream>;

const GRANTED: &str = "[GrantedQoS1]";
const REFUSED: &str = "[NotAuthorized]";

/// The blocks of one set-up.
struct SetUp {
    config: String,
    rules: String,
    /// Commands that only this one needs.
    commands: Vec<String>,
}

/// A set-up that runs.
struct Running {
    folder: PathBuf,
    broker: Broker,
    log: BufReader<ChildStderr>,
    ready: String,
}

fn section() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/security.md");
    let page = fs::read_to_string(page).expect("the page");
    let (_, behind) = page.split_once("## Three set-ups").expect("the section");
    behind.split("\n## ").next().expect("its text").to_owned()
}

/// The blocks of a text in this language, without their fences.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fenced = text.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| Some(block.strip_prefix(language)?.trim_start().to_owned())).collect()
}

fn commands(text: &str) -> Vec<String> {
    blocks(text, "console").iter().flat_map(|block| block.lines()).map(str::to_owned).collect()
}

fn set_up(title: &str) -> SetUp {
    let section = section();
    let (_, text) = section.split_once(&format!("**{title}.**")).expect("the set-up");
    let text = text.split("\n**").next().expect("its text");
    let one = |language: &str| {
        let [block] = &blocks(text, language)[..] else { panic!("one block of {language} in {title}") };
        block.clone()
    };
    SetUp { config: one("toml"), rules: one("text"), commands: commands(text) }
}

/// Runs a line of the page in a folder.
fn run(folder: &Path, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut command = match words[0] {
        "noctule" => noctule(folder, &words[1..]),
        program => {
            let mut command = Command::new(program);
            command.current_dir(folder).args(&words[1..]);
            command
        }
    };
    let (code, _, stderr) = outcome(&mut command);
    assert_eq!(code, 0, "{line}: {stderr}");
}

/// The commands that all set-ups have, for these users. Their passwords are their names.
fn prepare(test: &str, users: &[&str]) -> PathBuf {
    let folder = folder(test);
    let section = section();
    let shared = commands(section.split("**").next().expect("what stands above them"));
    let [certificate, user] = &shared[..] else { panic!("two commands: {shared:?}") };
    run(&folder, &certificate.replace("HOST", "localhost"));
    users.iter().for_each(|name| run(&folder, &with_password(user, name)));
    folder
}

/// `noctule passwd users.txt NAME` without a terminal.
fn with_password(command: &str, name: &str) -> String {
    command.replace("passwd", "passwd -b").replace("NAME", &format!("{name} {name}"))
}

impl SetUp {
    /// Has the page's files checked as they stand there, and starts them with these places to listen on replaced by
    /// free ports of this machine.
    fn start(&self, folder: &Path, places: &[&str]) -> Running {
        fs::write(folder.join("rules.txt"), &self.rules).expect("a writable folder");
        fs::write(folder.join("noctule.toml"), &self.config).expect("a writable folder");
        run(folder, "noctule config check noctule.toml");
        let mut config = self.config.clone();
        for place in places {
            assert!(config.contains(place), "{place} is missing in {config}");
            config = config.replacen(place, "127.0.0.1:0", 1);
        }
        fs::write(folder.join("noctule.toml"), config).expect("a writable folder");
        let mut broker = Broker::start(&mut noctule(folder, &["--config", "noctule.toml"]));
        let log = BufReader::new(broker.child.stderr.take().expect("a pipe"));
        let ready = broker.ready();
        Running { folder: folder.to_owned(), broker, log, ready }
    }
}

impl Running {
    fn place(&self, scheme: &str) -> &str {
        place(&self.ready, scheme)
    }

    fn tcp(&self) -> Client {
        Client::dial_at(self.place("tcp://").parse().expect("an address")).expect("the broker listens")
    }

    /// Over TLS with the page's authority, and with this certificate if one is named.
    fn stream(&self, scheme: &str, certificate: Option<&str>) -> Tls {
        let pem = |name: &str| CertificateDer::from_pem_file(self.folder.join(name)).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(pem("tls/ca.pem")).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = builder.with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = self.folder.join(format!("{name}.key"));
                let key = PrivateKeyDer::from_pem_file(key).expect("a key");
                builder.with_client_auth_cert(vec![pem(&format!("{name}.pem"))], key).expect("a pair")
            }
        };
        let host = "localhost".try_into().expect("a name");
        let client = ClientConnection::new(Arc::new(config), host).expect("a client");
        let socket = TcpStream::connect(self.place(scheme)).expect("the broker listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        StreamOwned::new(client, socket)
    }

    fn tls(&self, certificate: Option<&str>) -> Client {
        Client::over(self.stream("tls://", certificate))
    }

    /// A page of this origin over WebSocket; `None`: it is refused.
    fn wss(&self, origin: &'static str) -> Option<Client> {
        let mut request = "wss://localhost/mqtt".into_client_request().expect("a request");
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
        request.headers_mut().insert("Origin", HeaderValue::from_static(origin));
        let (socket, _) = tungstenite::client(request, self.stream("wss://", None)).ok()?;
        Some(Client::over(Framed { socket, received: Vec::new() }))
    }

    /// What `noctule explain` says, with its exit code.
    fn explain(&self, question: &str) -> bool {
        let arguments: Vec<&str> = ["explain"].into_iter().chain(question.split(' ')).collect();
        let (code, stdout, stderr) =
            outcome(&mut noctule(&self.folder, &[&arguments[..], &["--config", "noctule.toml"]].concat()));
        assert!(code < 2, "{question}: {stdout}{stderr}");
        code == 0
    }

    /// Waits until the log says this.
    fn wait_for(&mut self, said: &str) {
        let mut line = String::new();
        while !line.contains(said) {
            line.clear();
            assert!(self.log.read_line(&mut line).expect("UTF-8") > 0, "the broker ended before {said:?}");
        }
    }
}

/// MQTT in binary frames.
struct Framed {
    socket: WebSocket<Tls>,
    received: Vec<u8>,
}

impl Read for Framed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.received.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.received = bytes.to_vec(),
                Ok(_) | Err(tungstenite::Error::ConnectionClosed) => return Ok(0),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let length = buffer.len().min(self.received.len());
        buffer[..length].copy_from_slice(&self.received[..length]);
        self.received.drain(..length);
        Ok(length)
    }
}

impl Write for Framed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(Message::binary(bytes.to_vec())).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io::Error::other)
    }
}

/// Lets a client in whose password is its name.
#[track_caller]
fn enter(mut client: Client, name: &str) -> Client {
    let welcome = client.connect(Hello::new(name).v5().user(name, name));
    assert!(welcome.is_in, "{name}: {welcome:?}");
    client
}

/// Whether a client comes in.
fn comes_in(mut client: Client, hello: Hello<'_>) -> bool {
    client.connect(hello.v5()).is_in
}

#[track_caller]
fn assert_subscribes(client: &mut Client, filter: &str, codes: &str) {
    assert_eq!(client.subscribe(filter, AtLeastOnce), format!("{filter}: {codes}"));
}

#[track_caller]
fn assert_publishes(client: &mut Client, topic: &str, is_allowed: bool) {
    let expected = if is_allowed { "acknowledged" } else { "refused 0x87" };
    assert_eq!(client.publish(topic, "x", AtLeastOnce, false), expected, "{topic}");
}

#[test]
fn a_home_is_open_on_its_machine_and_asks_for_passwords_elsewhere() {
    let folder = prepare("set_up_home", &["anna", "tv"]);
    let home = set_up("A home").start(&folder, &["localhost:1883", "0.0.0.0:8883"]);

    let mut anna = enter(home.tls(None), "anna");
    assert_subscribes(&mut anna, "#", GRANTED);
    let mut bridge = home.tcp();
    assert!(bridge.connect(Hello::new("zigbee2mqtt").v5()).is_in, "no password beside the broker");
    assert_subscribes(&mut bridge, "home/#", GRANTED);
    assert_subscribes(&mut bridge, "#", REFUSED);
    assert_publishes(&mut bridge, "home/lamp/set", true);
    assert_publishes(&mut bridge, "garden/gate", false);
    assert_eq!(anna.next_message().as_deref(), Some("home/lamp/set x q1"));
    assert_publishes(&mut anna, "garden/gate", true);

    let mut tv = enter(home.tls(None), "tv");
    assert_publishes(&mut tv, "home/tv/state", true);
    assert_subscribes(&mut tv, "$SYS/#", REFUSED);
    assert!(!comes_in(home.tls(None), Hello::new("tv").user("tv", "wrong")));

    // The test does not leave this machine; what is asked of the rest of the house says the code that decides.
    for (question, is_allowed) in [
        ("connect --address 192.0.2.7", false),
        ("connect --address 192.0.2.7 --user tv", true),
        ("subscribe --address 192.0.2.7 --user tv --topic home/#", true),
        ("subscribe --address 192.0.2.7 --user tv --topic #", false),
        ("publish --address 192.0.2.7 --user tv --topic home/tv/state", true),
        ("publish --address 192.0.2.7 --user tv --topic home/lamp/set", false),
        ("publish --address 192.0.2.7 --user anna --topic home/lamp/set", true),
    ] {
        assert_eq!(home.explain(question), is_allowed, "{question}");
    }
}

#[test]
fn in_a_factory_machines_show_certificates_and_people_have_passwords() {
    let folder = prepare("set_up_factory", &["otto"]);
    let factory = set_up("A factory");
    let (operator, certificate) = factory.commands.split_first().expect("commands");
    run(&folder, &with_password(&operator.replace("mona", "NAME"), "mona"));
    certificate.iter().for_each(|line| run(&folder, &line.replace("MACHINE", "press")));
    let factory = factory.start(&folder, &["0.0.0.0:8883", "0.0.0.0:8443"]);

    let mut press = factory.tls(Some("press"));
    assert!(press.connect(Hello::new("press-1").v5()).is_in, "the certificate is enough");
    assert_publishes(&mut press, "line/press/state", true);
    assert_publishes(&mut press, "line/robot/state", false);
    assert_publishes(&mut press, "line/keys/1", false);
    assert_subscribes(&mut press, "line/press/set", GRANTED);
    assert_subscribes(&mut press, "line/#", REFUSED);
    assert!(!comes_in(factory.tls(None), Hello::new("nobody")), "no machine without certificate");

    let panel = || factory.wss("https://panel.example").expect("its page may connect");
    let mut mona = enter(panel(), "mona");
    assert_subscribes(&mut mona, "line/#", GRANTED);
    assert_publishes(&mut mona, "line/press/set", true);
    assert_eq!(press.next_message().as_deref(), Some("line/press/set x q1"));
    assert_publishes(&mut mona, "line/keys/1", false);
    let mut otto = enter(panel(), "otto");
    assert_subscribes(&mut otto, "line/#", REFUSED);
    assert_publishes(&mut otto, "line/otto/state", false);
    assert!(!comes_in(panel(), Hello::new("mona").user("mona", "wrong")));
    assert!(!comes_in(panel(), Hello::new("nobody")));
    assert!(factory.wss("https://elsewhere.example").is_none(), "a page of another host");
}

#[test]
fn in_a_public_service_everybody_has_a_room_and_bounds() {
    let folder = prepare("set_up_public", &["anna", "bert"]);
    let mut service = set_up("A public service").start(&folder, &["0.0.0.0:8883", "0.0.0.0:443"]);

    let mut anna = enter(service.tls(None), "anna");
    let mut bert = enter(service.wss("https://localhost").expect("a page of the same host"), "bert");
    for (client, own, other) in
        [(&mut anna, "users/anna", "users/bert"), (&mut bert, "users/bert", "users/anna")]
    {
        assert_subscribes(client, &format!("{own}/#"), GRANTED);
        assert_publishes(client, &format!("{own}/x"), true);
        assert_eq!(client.next_message(), Some(format!("{own}/x x q1")));
        assert_subscribes(client, &format!("{other}/#"), REFUSED);
        assert_publishes(client, &format!("{other}/x"), false);
        for filter in ["#", "users/#", "+/+/x", "$SYS/#"] {
            assert_subscribes(client, filter, REFUSED);
        }
    }
    assert!(!comes_in(service.tls(None), Hello::new("nobody")));
    assert!(!comes_in(service.tls(None), Hello::new("anna").user("anna", "wrong")));
    let large = "x".repeat(300 << 10);
    assert_eq!(
        bert.publish("users/bert/large", &large, AtLeastOnce, false),
        "closed",
        "256 KiB are the limit"
    );

    run(&folder, "noctule passwd -b users.txt carl carl");
    service.wait_for("the configuration has been reloaded");
    enter(service.tls(None), "carl");
    run(&folder, "noctule passwd -D users.txt anna");
    service.wait_for("the configuration has been reloaded");
    assert!(anna.is_closed(), "who is known no longer goes");
    drop(service.broker);
}

const PATIENCE: Duration = Duration::from_secs(15);
