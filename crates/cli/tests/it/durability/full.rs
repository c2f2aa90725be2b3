//! A small disk, and a disk that is full: the real process on a file system of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use noctule_codec::{ProtocolVersion, Publish, QoS, ReasonCode};

use super::client::{Client, EMPTY, Heard, Hello};
use super::{SERVE, started};
use crate::support::{Broker, folder};

/// A file system in memory, seen only by what is started on it. It goes with the process that holds it.
struct Disk {
    holder: Child,
    folder: PathBuf,
}

impl Disk {
    /// Nothing if this machine does not let us mount; then it has not been tested, which is a failure where all is
    /// tested.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        let mount =
            format!("mount -t tmpfs -o size={size} none '{}' && echo mounted && exec cat", folder.display());
        // Only root may mount; anybody else may be root of what is his alone.
        let is_root = rustix::process::geteuid().is_root();
        let alone: &[&str] = if is_root { &["--mount"] } else { &["--mount", "--map-root-user"] };
        let mut command = Command::new("unshare");
        command.args(alone).args(["sh", "-c", &mount]);
        let mut holder = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut said = [0; 8];
        let stdout = holder.stdout.as_mut().expect("a pipe");
        let is_mounted = std::io::Read::read_exact(stdout, &mut said).is_ok();
        if !is_mounted {
            let output = holder.wait_with_output().expect("an end");
            let cause = String::from_utf8_lossy(&output.stderr).into_owned();
            not_tested(&cause);
            return None;
        }
        Some(Self { holder, folder: folder.to_owned() })
    }

    /// A broker whose data directory is on it.
    fn start(&self, arguments: &[&str]) -> (Broker, SocketAddr) {
        let mut command = Command::new("nsenter");
        let user: &[&str] =
            if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--preserve-credentials"] };
        command.env_clear().args(user).args(["--target", &self.holder.id().to_string(), "--mount"]);
        command
            .arg(env!("CARGO_BIN_EXE_noctule"))
            .args(SERVE)
            .args(["--data-dir"])
            .arg(self.folder.join("data"));
        started(command.args(arguments))
    }

    /// A file on it, as this process reaches it.
    fn file(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.folder.strip_prefix("/").expect("an absolute path")).join(name)
    }

    /// Leaves no more than this for others.
    fn fill(&self) {
        let ballast = fs::File::create(self.file("ballast")).expect("a file");
        let free = rustix::fs::statvfs(self.file("")).expect("a file system");
        let bytes = free.f_bavail * free.f_frsize;
        rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), 0, bytes)
            .expect("there is room");
    }

    fn give_room(&self) {
        fs::remove_file(self.file("ballast")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[expect(clippy::print_stderr, reason = "it has to be said, and there is no other way")]
fn not_tested(cause: &str) {
    assert!(std::env::var_os("CI").is_none(), "no file system can be mounted here: {cause}");
    eprintln!("NOT TESTED, no file system can be mounted here: {cause}");
}

/// Publishes messages of this size, one after the other, until one is refused. How many were acknowledged.
fn publish_until_refused(sensor: &mut Client, bytes: usize) -> usize {
    for number in 0.. {
        let payload = numbered(number, bytes);
        let id = sensor.say(&Publish {
            topic: "boiler",
            payload: payload.as_bytes(),
            qos: QoS::AtLeastOnce,
            ..EMPTY
        });
        match sensor.hear() {
            Some(Heard::PubAck(acknowledged, ReasonCode::Success)) => assert_eq!(acknowledged, id),
            Some(Heard::PubAck(_, ReasonCode::QuotaExceeded)) => return number,
            heard => panic!("{heard:?}"),
        }
    }
    unreachable!("numbers do not end")
}

fn numbered(number: usize, bytes: usize) -> String {
    format!("{number:08} {}", "x".repeat(bytes))
}

fn durable_panel(address: SocketAddr, client_id: &str) {
    let mut panel = Client::durable(address, client_id);
    panel.subscribe("boiler", QoS::AtLeastOnce);
    panel.leave();
}

/// Takes so many messages, which come in their order and are whole.
fn take_numbered(panel: &mut Client, count: usize, bytes: usize) {
    for (number, message) in panel.take(count).into_iter().enumerate() {
        assert_eq!(message.payload, numbered(number, bytes));
    }
}

/// Ten times what the file system holds passes through it.
#[test]
fn it_works_in_64_mib() {
    let folder = folder("full_small");
    let Some(disk) = Disk::mount(&folder, "64m") else { return };
    let (broker, address) = disk.start(&["--shards", "2"]);
    let mut panel = Client::durable(address, "panel");
    panel.subscribe("boiler", QoS::AtLeastOnce);
    let mut sensor = Client::clean(address, "sensor");
    let payload = "x".repeat(60_000);
    let mut taken = 0;
    while taken < 11_000 {
        for _ in 0..10 {
            sensor.say(&Publish {
                topic: "boiler",
                payload: payload.as_bytes(),
                qos: QoS::AtLeastOnce,
                ..EMPTY
            });
        }
        let is_taken = |_: &u32| match sensor.hear_ack() {
            Heard::PubAck(_, ReasonCode::Success) => true,
            // Reclaim may need a moment.
            Heard::PubAck(_, ReasonCode::QuotaExceeded) => false,
            heard => panic!("{heard:?}"),
        };
        let count = (0..10).filter(is_taken).count();
        panel.take(count);
        taken += count;
    }
    // What it has answered is settled before the next publication.
    panel.ping();
    goes_on(&mut sensor);
    broker.kill();
    let (_broker, address) = disk.start(&[]);
    assert_eq!(Client::durable(address, "panel").take_all(1), ["again"]);
}

/// Queues that nobody empties: what cannot be kept is refused, nothing acknowledged is lost, and everybody who needs
/// no disk goes on. Once the queues are emptied there is room again.
#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_recovers_when_queues_are_emptied() {
    let folder = folder("full_queues");
    let Some(disk) = Disk::mount(&folder, "64m") else { return };
    let (broker, address) = disk.start(&["--shards", "2"]);
    durable_panel(address, "panel");
    let mut sensor = Client::clean(address, "sensor");
    let acknowledged = publish_until_refused(&mut sensor, 10_000);
    // At least half of the room holds what counts.
    assert!(acknowledged > 1_500, "only {acknowledged} messages of 10,000 bytes in 64 MiB");
    check_that_others_go_on(address);
    let from_3_x = check_that_3_x_is_told_in_its_way(address);
    broker.kill();

    let (_broker, address) = disk.start(&["--shards", "2"]);
    let mut sensor = Client::clean(address, "sensor");
    let mut panel = Client::durable(address, "panel");
    take_numbered(&mut panel, acknowledged, 10_000);
    panel.take(from_3_x);
    goes_on(&mut sensor);
    assert_eq!(panel.take(1)[0].payload, "again");
}

/// Somebody else takes the room, and gives it back.
#[test]
fn when_space_returns_it_goes_on_without_a_restart() {
    let folder = folder("full_ballast");
    let Some(disk) = Disk::mount(&folder, "64m") else { return };
    let (broker, address) = disk.start(&["--shards", "2"]);
    durable_panel(address, "panel");
    let mut sensor = Client::clean(address, "sensor");
    disk.fill();
    let acknowledged = publish_until_refused(&mut sensor, 1_000);
    check_that_others_go_on(address);
    let from_3_x = check_that_3_x_is_told_in_its_way(address);
    disk.give_room();
    goes_on(&mut sensor);
    broker.kill();

    let (_broker, address) = disk.start(&[]);
    let mut panel = Client::durable(address, "panel");
    take_numbered(&mut panel, acknowledged, 1_000);
    panel.take(from_3_x);
    assert_eq!(panel.take(1)[0].payload, "again");
    panel.ping();
}

/// The journal looks for room every second, so a publication is taken again soon.
fn goes_on(sensor: &mut Client) {
    for _ in 0..100_000 {
        let id = sensor.say(&Publish { topic: "boiler", payload: b"again", qos: QoS::AtLeastOnce, ..EMPTY });
        match sensor.hear() {
            Some(Heard::PubAck(acknowledged, ReasonCode::Success)) => return assert_eq!(acknowledged, id),
            Some(Heard::PubAck(_, ReasonCode::QuotaExceeded)) => {}
            heard => panic!("{heard:?}"),
        }
    }
    panic!("the broker has room again and does not take it");
}

/// QoS 0 for everybody, and every QoS between clients without durable sessions.
fn check_that_others_go_on(address: SocketAddr) {
    let mut clean = Client::clean(address, "clean");
    clean.subscribe("pump/#", QoS::ExactlyOnce);
    let mut other = Client::clean(address, "other");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        other.publish("pump/state", "on", qos);
        assert_eq!(clean.take(1)[0].payload, "on");
    }
    other.publish("boiler", "not kept", QoS::AtMostOnce);
}

/// Its acknowledgements have no room for a reason, so nothing is acknowledged and the connection ends. Reclaim may make
/// a little room meanwhile; how many were taken.
fn check_that_3_x_is_told_in_its_way(address: SocketAddr) -> usize {
    let mut taken = 0;
    for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1] {
        let mut old = Hello { version, ..Hello::clean("old") }.connect(address);
        let payload = "x".repeat(10_000);
        let too_much =
            Publish { topic: "boiler", payload: payload.as_bytes(), qos: QoS::AtLeastOnce, ..EMPTY };
        loop {
            let id = old.say(&too_much);
            match old.hear() {
                Some(Heard::PubAck(acknowledged, _)) if acknowledged == id => taken += 1,
                Some(heard) => panic!("{heard:?}"),
                None => break,
            }
        }
    }
    taken
}
