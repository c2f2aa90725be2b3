//! Brokers in processes of their own: noctule, built from this workspace, and Mosquitto as the system has it.

use std::fs;
use std::io::{BufRead as _, BufReader};
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
}

/// Every broker the library is tried with.
pub(crate) const EVERY: [Kind; 2] = [Kind::Noctule, Kind::Mosquitto];

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
    }
}

fn noctule(folder: &Path, address: SocketAddr, more: &[String]) -> Child {
    let mut command = Command::new(noctule_binary());
    command.current_dir(folder).env_clear().args(["--data-dir", "data", "--log", "warn"]);
    command.args(["--listen", &format!("tcp://{address}")]).args(more);
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut ready = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut ready).expect("text");
    assert!(ready.contains("ready"), "{command:?} said {ready:?}");
    child
}

/// Its binary, built if it is not there.
fn noctule_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("this test");
        let profile = test.parent().and_then(Path::parent).expect("a test lies in deps of its profile");
        let target = profile.parent().expect("a profile lies in the target folder");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "noctule", "--target-dir"]).arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo").success(), "{build:?}");
        profile.join("noctule")
    })
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
