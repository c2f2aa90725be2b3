//! The brokers that are compared: started on the first core, stopped when they are dropped.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::lab::Lab;
use crate::{project, setup};

/// A broker that runs.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) name: &'static str,
    pub(super) port: u16,
    door: Door,
    child: Child,
    /// Who has signed its certificate.
    authority: Option<PathBuf>,
    /// Of one of ours.
    data_dir: Option<PathBuf>,
}

/// What is spoken below MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Tcp,
    Tls,
    WebSocket,
    WebSocketInTls,
}

impl Door {
    /// As the broker and as the generator write it.
    fn schemes(self) -> (&'static str, &'static str) {
        match self {
            Self::Tcp => ("tcp", "mqtt"),
            Self::Tls => ("tls", "mqtts"),
            Self::WebSocket => ("ws", "ws"),
            Self::WebSocketInTls => ("wss", "wss"),
        }
    }

    fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::WebSocketInTls)
    }
}

impl Broker {
    /// The reference relay: what moving messages costs before anything is decided.
    pub(super) fn relay(lab: &Lab<'_>) -> Result<Self> {
        let mut command = pinned(lab, lab.project.target().join("release/relay"));
        Self::start_and_read_port("relay", command.args(["--listen", "127.0.0.1:0"]))
    }

    /// This broker with so many shards, and like Mosquitto without a window for 3.x clients.
    pub(super) fn noctule(lab: &Lab<'_>, shards: u16) -> Result<Self> {
        Self::noctule_in(lab, shards, fresh_data_dir(lab), &[])
    }

    /// This broker with one shard, reached through something else than plain TCP.
    pub(super) fn noctule_behind(lab: &Lab<'_>, door: Door) -> Result<Self> {
        let data_dir = fresh_data_dir(lab);
        let mut more = vec!["--set", "tls.versions=1.3"];
        let certificate = data_dir.with_extension("tls");
        let files = ["server.pem", "server.key"].map(|name| certificate.join(name).display().to_string());
        let [shown, key] =
            [("certificate", &files[0]), ("key", &files[1])].map(|(name, file)| format!("tls.{name}={file}"));
        if door.is_tls() {
            let mut init = lab.project.command(lab.project.release_binary());
            init.args(["tls", "init", "--name", "127.0.0.1", "--dir"]).arg(&certificate);
            project::run(init.stdout(Stdio::null()))?;
            more.extend(["--set", &shown, "--set", &key]);
        }
        let mut broker =
            Self::start_noctule_at(pinned(lab, lab.project.release_binary()), door, 1, data_dir, &more)?;
        broker.authority = door.is_tls().then(|| certificate.join("ca.pem"));
        Ok(broker)
    }

    /// This broker with one shard and this durability.
    pub(super) fn noctule_with(lab: &Lab<'_>, durability: &str) -> Result<Self> {
        Self::noctule_in(lab, 1, fresh_data_dir(lab), &["--durability", durability])
    }

    /// The same below a command that says how it runs, on whatever cores that leaves it.
    pub(super) fn noctule_under(lab: &Lab<'_>, under: &[String], durability: &str) -> Result<Self> {
        let mut command = lab.project.command(&under[0]);
        command.args(&under[1..]).arg(lab.project.release_binary());
        Self::start_noctule(command, 1, fresh_data_dir(lab), &["--durability", durability])
    }

    fn noctule_in(lab: &Lab<'_>, shards: u16, data_dir: PathBuf, more: &[&str]) -> Result<Self> {
        Self::start_noctule(pinned(lab, lab.project.release_binary()), shards, data_dir, more)
    }

    fn start_noctule(command: Command, shards: u16, data_dir: PathBuf, more: &[&str]) -> Result<Self> {
        Self::start_noctule_at(command, Door::Tcp, shards, data_dir, more)
    }

    fn start_noctule_at(
        mut command: Command,
        door: Door,
        shards: u16,
        data_dir: PathBuf,
        more: &[&str],
    ) -> Result<Self> {
        command.args(["--listen", &format!("{}://127.0.0.1:0", door.schemes().0)]);
        command.args(["--log", "off", "--shards", &shards.to_string()]);
        command.args(["--set", "limits.inflight_messages_max_v3=65535"]);
        command.args(["--set", "sys_interval=1s"]).args(more).arg("--data-dir").arg(&data_dir);
        let mut broker = Self::start_and_read_port("noctule", &mut command)?;
        (broker.door, broker.data_dir) = (door, Some(data_dir));
        Ok(broker)
    }

    /// Kills it as a crash would and starts one of ours, with a single shard, on what it has left.
    pub(super) fn kill_and_start_again(mut self, lab: &Lab<'_>) -> Result<Self> {
        let data_dir = self.data_dir.take().context("it has no data directory of ours")?;
        drop(self);
        Self::noctule_in(lab, 1, data_dir, &[])
    }

    /// Mosquitto without the bounds that would let it drop messages.
    pub(super) fn mosquitto(lab: &Lab<'_>) -> Result<Self> {
        let program = setup::find_program("mosquitto").context("mosquitto is not installed")?;
        let port = free_port()?;
        let file = lab.folder.join(format!("mosquitto-{port}.conf"));
        fs::write(&file, format!("listener {port} 127.0.0.1\n{MOSQUITTO_SETTINGS}"))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let child = pinned(lab, program).arg("-c").arg(file).stderr(Stdio::null()).spawn();
        let mut broker = Self::new("mosquitto", child.context("cannot start mosquitto")?);
        broker.port = port;
        broker.wait_until_it_listens()?;
        Ok(broker)
    }

    /// Where one of ours keeps its journal.
    pub(super) fn journal(&self) -> Result<PathBuf> {
        Ok(self.data_dir.as_ref().context("it has no data directory of ours")?.join("journal"))
    }

    fn new(name: &'static str, child: Child) -> Self {
        Self { name, port: 0, door: Door::Tcp, child, authority: None, data_dir: None }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.door.schemes().1, self.port)
    }

    /// Who has signed its certificate, if it shows one.
    pub(super) fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// Both of ours say where they listen as soon as they do: `... ready: ...:PORT`, maybe with a path behind it.
    fn start_and_read_port(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("standard output was asked for")?;
        let mut broker = Self::new(name, child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line.contains("ready"), "{name} did not start");
        let port = line.trim_end().rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse().ok());
        broker.port = port.with_context(|| format!("no port in: {line}"))?;
        Ok(broker)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < START_TIME_MAX {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}", self.name);
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            std::thread::yield_now();
        }
        bail!("{} does not listen on port {}", self.name, self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may be gone already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `taskset` becomes the program, so its process id is that of the broker.
fn pinned(lab: &Lab<'_>, program: PathBuf) -> Command {
    let mut command = lab.project.command("taskset");
    command.args(["-c", BROKER_CORE]).arg(program);
    command
}

fn fresh_data_dir(lab: &Lab<'_>) -> PathBuf {
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    lab.folder.join(format!("noctule-{number}"))
}

/// A port that nobody listens on, below those the system gives to clients.
fn free_port() -> Result<u16> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let offset = u16::try_from(std::process::id() % 1_000).expect("below 1,000") * 10;
    (18_000 + offset..32_000).find(is_free).context("no free port between 18000 and 32000")
}

/// `set_tcp_nodelay` is what the other two do; logging every connection would be charged to the broker.
const MOSQUITTO_SETTINGS: &str = "allow_anonymous true
max_queued_messages 0
max_inflight_messages 0
set_tcp_nodelay true
connection_messages false
log_type error
";

/// How many of ours have been started: each has a data directory of its own.
static STARTED: AtomicU32 = AtomicU32::new(0);
const BROKER_CORE: &str = "0";
pub(super) const GENERATOR_CORE: &str = "1";
const START_TIME_MAX: Duration = Duration::from_secs(10);
