//! Brokers in processes of their own: noctule, built from this workspace, Mosquitto as the system has it, and aedes,
//! which `cargo xtask setup` installs.

use noctule_client::{ProtocolVersion, QoS};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Noctule,
    Mosquitto,
    /// It speaks no 5.0 and keeps nothing over a crash. When a client comes back it gets what it was owed beside what
    /// is new, and what it has not completed under a new packet id.
    Aedes,
}

impl Kind {
    /// What a client of this broker can count on over several connections.
    pub(crate) fn promises(self, qos: QoS) -> Promise {
        match (self, qos) {
            (Self::Aedes, _) => Promise::NoneMissing,
            (_, QoS::ExactlyOnce) => Promise::OnceInOrder,
            _ => Promise::FirstArrivalsInOrder,
        }
    }
}

/// What has to hold of messages that are numbered from one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    NoneMissing,
    FirstArrivalsInOrder,
    OnceInOrder,
}

/// Every broker that speaks all versions.
pub(crate) const EVERY: [Kind; 2] = [Kind::Noctule, Kind::Mosquitto];

/// Every broker with every version that it speaks, from 3.1.1 on.
pub(crate) fn every_pair() -> Vec<(Kind, ProtocolVersion)> {
    let versions = [ProtocolVersion::V3_1_1, ProtocolVersion::V5];
    let mut pairs: Vec<_> =
        EVERY.into_iter().flat_map(|kind| versions.map(|version| (kind, version))).collect();
    if aedes_library().is_some() {
        pairs.push((Kind::Aedes, ProtocolVersion::V3_1_1));
    }
    pairs
}

/// The library, if it is installed. Where CI runs it has to be.
pub(crate) fn aedes_library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let library = target().join("peers/node/node_modules/aedes/aedes.js");
        let is_there = library.is_file();
        let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(is_there || !is_ci, "there is no {}; cargo xtask setup installs it", library.display());
        if !is_there {
            let missing = "NOT TESTED with aedes, which is not installed: cargo xtask setup";
            writeln!(std::io::stderr(), "{missing}").expect("somebody listens");
        }
        is_there.then_some(library)
    });
    library.as_deref()
}

/// A broker that ends with its test.
pub(crate) struct Broker {
    kind: Kind,
    folder: PathBuf,
    child: Child,
    /// What it listens on besides TCP.
    more: Vec<String>,
    pub(crate) address: SocketAddr,
}

impl Broker {
    /// Starts a broker on a free port. `test` names its folder.
    pub(crate) fn start(kind: Kind, test: &str) -> Self {
        Self::with_listeners(kind, test, &[])
    }

    /// Starts noctule with further listeners and keys of its configuration.
    pub(crate) fn with_listeners(kind: Kind, test: &str, more: &[&str]) -> Self {
        let address = free_address();
        let folder = folder(&format!("{kind:?}-{test}"));
        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
        let child = spawn(kind, &folder, address, &more);
        Self { kind, folder, child, more, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// Ends it as a crash would, and starts it again with what it has written.
    pub(crate) fn crash(&mut self) {
        self.kill();
        self.child = spawn(self.kind, &self.folder, self.address, &self.more);
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a process of this test");
        self.child.wait().expect("a process of this test");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A fresh folder for one test.
pub(crate) fn folder(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if path.exists() {
        fs::remove_dir_all(&path).expect("a folder of this test");
    }
    fs::create_dir_all(&path).expect("a writable folder for tests");
    path
}

/// An address that nobody listens on, below the ports that the system gives to outgoing connections.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).expect("below 10,000");
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], start + NEXT.fetch_add(1, Ordering::Relaxed)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn spawn(kind: Kind, folder: &Path, address: SocketAddr, more: &[String]) -> Child {
    match kind {
        Kind::Noctule => noctule(folder, address, more),
        Kind::Mosquitto => mosquitto(folder, address),
        Kind::Aedes => aedes(folder, address),
    }
}

fn noctule(folder: &Path, address: SocketAddr, more: &[String]) -> Child {
    let mut command = Command::new(noctule_binary());
    command.current_dir(folder).env_clear().args(["--data-dir", "data", "--log", "warn"]);
    command.args(["--listen", &format!("tcp://{address}")]).args(more);
    spawn_until_ready(command)
}

/// Starts a broker that says when it listens.
fn spawn_until_ready(mut command: Command) -> Child {
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut ready = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut ready).expect("text");
    assert!(ready.contains("ready"), "{command:?} said {ready:?}");
    child
}

fn aedes(folder: &Path, address: SocketAddr) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/aedes.mjs");
    let library = aedes_library().expect("who asks for it has looked whether it is there");
    let mut command = Command::new("node");
    command.current_dir(folder).arg(script).arg(library).arg(address.port().to_string());
    spawn_until_ready(command)
}

/// Its binary, built if it is not there.
fn noctule_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let (profile, target) = (profile(), target());
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "noctule", "--target-dir"]).arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo").success(), "{build:?}");
        profile.join("noctule")
    })
}

/// The folder of the build that this test is part of.
fn profile() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    test.parent().and_then(Path::parent).expect("a test lies in deps of its profile").to_owned()
}

fn target() -> PathBuf {
    profile().parent().expect("a profile lies in the target folder").to_owned()
}

fn mosquitto(folder: &Path, address: SocketAddr) -> Child {
    let configuration = folder.join("mosquitto.conf");
    let text = format!(
        "listener {} {}\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
         autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\n",
        address.port(),
        address.ip(),
        folder.display()
    );
    fs::write(&configuration, text).expect("a writable folder");
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(&configuration).stdout(Stdio::null()).stderr(Stdio::null());
    // The distribution keeps servers where only the superuser looks for programs.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin"));
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    wait_for_listener(address);
    child
}

/// Mosquitto does not say when it is ready.
fn wait_for_listener(address: SocketAddr) {
    let begin = Instant::now();
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        assert!(begin.elapsed() < super::PATIENCE, "nobody listens on {address}");
        std::thread::yield_now();
    }
}
