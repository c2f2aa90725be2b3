//! The same `mosquitto.conf` under the real mosquitto and under `noctule serve --mosquitto`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{folder, noctule};

/// Who runs the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Mosquitto,
    Noctule,
}

/// A broker that runs a file, or has refused to.
pub(crate) struct Subject {
    kind: Kind,
    child: Child,
    pub(crate) folder: PathBuf,
    pub(crate) ports: [u16; 3],
    pub(crate) is_running: bool,
}

/// Files beside the `mosquitto.conf`, by name.
pub(crate) type Files = Vec<(&'static str, String)>;

impl Subject {
    /// Starts a broker in a fresh folder. `{PORT}`, `{PORT2}` and `{PORT3}` in the file are ports of its own.
    pub(crate) fn start(kind: Kind, test: &str, conf: &str, files: &Files) -> Self {
        let folder = folder(&format!("mosquitto_{test}_{kind:?}"));
        let ports = std::array::from_fn(|_| free_port());
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder for tests");
            fs::write(path, with_ports(text, ports)).expect("a writable folder for tests");
        }
        let mut conf = with_ports(conf, ports);
        if kind == Kind::Mosquitto {
            // As root it would become a user that cannot read the files of this test.
            conf.push_str("\nuser root\n");
        }
        fs::write(folder.join("mosquitto.conf"), conf).expect("a writable folder for tests");
        Self::spawn(kind, folder, ports)
    }

    /// Stops the broker in order and starts it again in its folder.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let (kind, folder, ports) = (self.kind, self.folder.clone(), self.ports);
        *self = Self::spawn(kind, folder, ports);
    }

    /// Has the broker read its files anew (SIGHUP).
    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("it runs");
    }

    /// Stops the broker in order.
    pub(crate) fn stop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[0]))
    }

    /// What it has said on standard error.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.folder.join(STDERR)).unwrap_or_default()
    }

    /// What it has said on standard output after it was ready.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    fn spawn(kind: Kind, folder: PathBuf, ports: [u16; 3]) -> Self {
        let mut command = match kind {
            Kind::Mosquitto => mosquitto(&folder),
            Kind::Noctule => noctule(&folder, &["serve", "--mosquitto", "mosquitto.conf", "--shards", "1"]),
        };
        let stderr = fs::File::create(folder.join(STDERR)).expect("a writable folder for tests");
        let started = command.stdout(Stdio::piped()).stderr(stderr).spawn();
        let child = started.unwrap_or_else(|error| panic!("{command:?} (Debian package mosquitto): {error}"));
        let mut subject = Self { kind, child, folder, ports, is_running: false };
        subject.is_running = match kind {
            Kind::Mosquitto => subject.comes_up(),
            Kind::Noctule => subject.is_ready(),
        };
        subject
    }

    /// noctule says when it is ready.
    fn is_ready(&mut self) -> bool {
        let stdout = self.child.stdout.take().expect("a pipe");
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        while stdout.read_line(&mut line).expect("UTF-8") > 0 {
            if line.contains(" ready: mqtt ") {
                return true;
            }
            line.clear();
        }
        false
    }

    /// mosquitto is ready when it listens. Nobody connects to find out: 2.0.11 counts a connection without CONNECT for
    /// ever (`max_connections`).
    fn comes_up(&mut self) -> bool {
        let mut is_over = false;
        until(PATIENCE, || {
            is_over = self.child.try_wait().expect("a child").is_some();
            is_over || is_listened_on(self.ports[0])
        }) && !is_over
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until it is so, or the time is over.
pub(crate) fn until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > limit {
            return false;
        }
        pause(Duration::from_millis(10));
    }
    true
}

/// Lets time pass, where time itself is what is tested.
pub(crate) fn pause(time: Duration) {
    let (_sender, receiver) = sync_channel::<()>(1);
    let _ = receiver.recv_timeout(time);
}

fn mosquitto(folder: &Path) -> Command {
    let mut command = Command::new("mosquitto");
    command.current_dir(folder).args(["-c", "mosquitto.conf"]).env("PATH", PATH);
    command
}

/// Whether the kernel knows a listener on this port (proc(5): state 0A).
fn is_listened_on(port: u16) -> bool {
    let port = format!(":{port:04X}");
    let is_it = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (local, state) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
        local.ends_with(&port) && state == "0A"
    };
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .any(|path| fs::read_to_string(path).unwrap_or_default().lines().any(is_it))
}

fn with_ports(text: &str, ports: [u16; 3]) -> String {
    let text = text.replace("{PORT}", &ports[0].to_string());
    text.replace("{PORT2}", &ports[1].to_string()).replace("{PORT3}", &ports[2].to_string())
}

/// A port that nobody has, below those that the kernel gives away.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 12_000 + u16::try_from(std::process::id() % 1000).expect("below 1000") * 16;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 4_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Where Debian puts the broker; it is on no user's path.
const PATH: &str = "/usr/sbin:/usr/local/sbin:/usr/bin:/bin";

const STDERR: &str = "stderr.txt";

/// How long a broker may take to come up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
