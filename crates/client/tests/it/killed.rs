//! Client processes that are killed at any moment, behind a network that fails, and the ledger over all their lives.
//!
//! A process is this test binary once more: it runs one of the tests named `…_to_be_killed`, which by itself does
//! nothing, and tells its deeds line by line.

use crate::support::broker::{Broker, EVERY, Kind, folder};
use crate::support::proxy::{Proxy, random};
use crate::support::{hasty, within};
use noctule_client::{Builder, Client, QoS, Subscription};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::runtime::Runtime;

/// What a process is to do.
struct Task {
    url: String,
    folder: PathBuf,
    qos: QoS,
    /// Which of its lives this is.
    life: u64,
}

impl Task {
    /// Runs a test of this binary in a process of its own and kills it once it has told so many deeds, in all of which
    /// it may be. Returns what it has told.
    fn run_and_kill(&self, test: &str, deeds: usize) -> Vec<String> {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["--exact", &format!("killed::{test}"), "--nocapture"]);
        command.env("KILLED_URL", &self.url).env("KILLED_FOLDER", &self.folder);
        command.env("KILLED_QOS", (self.qos as u8).to_string()).env("KILLED_LIFE", self.life.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("this test again");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut told: Vec<String> = lines.by_ref().take(deeds).collect();
        child.kill().expect("a process of this test");
        child.wait().expect("a process of this test");
        // What it had told before it was killed counts, but for a line that it was killed in.
        told.extend(lines);
        told.iter()
            .filter_map(|line| line.strip_prefix("did ")?.strip_suffix(" .").map(str::to_owned))
            .collect()
    }

    /// What this process was started to do, if it was.
    fn given() -> Option<Self> {
        let variable = |name| std::env::var(name).ok();
        Some(Self {
            url: variable("KILLED_URL")?,
            folder: variable("KILLED_FOLDER")?.into(),
            qos: QoS::from_bits(variable("KILLED_QOS")?.parse().ok()?)?,
            life: variable("KILLED_LIFE")?.parse().ok()?,
        })
    }

    fn builder(&self) -> Builder {
        hasty(&self.url, "mortal").outbox_on_disk(&self.folder)
    }
}

fn tell(deed: &str) {
    writeln!(std::io::stderr(), "did {deed} .").expect("somebody listens");
}

fn runtime(threads: usize) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.expect("a runtime")
}

/// Tells a number once the client has taken responsibility for it.
#[test]
fn a_publisher_to_be_killed() {
    let Some(task) = Task::given() else { return };
    runtime(1).block_on(async {
        let client = task.builder().connect_in_background().expect("the one before is dead");
        for number in 0_u64.. {
            let text = format!("{}/{number}", task.life);
            client.publish("t", &*text).qos(task.qos).await.expect("on disk");
            tell(&text);
        }
    });
}

/// Tells what has come, and acknowledges it after that.
#[test]
fn a_subscriber_to_be_killed() {
    let Some(task) = Task::given() else { return };
    runtime(1).block_on(async {
        let client = task.builder().connect_in_background().expect("the one before is dead");
        let mut stream = client.subscribe("t").qos(task.qos).manual_acks().await.expect("granted");
        while let Some(message) = stream.next().await {
            tell(message.text().expect("text"));
            message.ack();
        }
    });
}

async fn watch(broker: &Broker, qos: QoS) -> Subscription {
    let watcher = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    watcher.subscribe("t").qos(qos).buffer(1 << 20, 1 << 26).await.expect("granted")
}

/// Everything up to the message `end`.
async fn up_to_the_end(mut stream: Subscription) -> Vec<String> {
    let mut came = Vec::new();
    loop {
        let message = within("the end", stream.next()).await.expect("open");
        match message.text().expect("text") {
            "end" => return came,
            text => came.push(text.to_owned()),
        }
    }
}

fn publisher_killed_again_and_again(kind: Kind, qos: QoS) {
    const LIVES: u64 = 6;
    let context = format!("publisher-{kind:?}-{qos:?}");
    let broker = Broker::start(kind, &context);
    let runtime = runtime(1);
    let watching = runtime.block_on(watch(&broker, qos));
    let proxy = runtime.block_on(Proxy::stormy(broker.address, 3_000, 5));
    let files = folder(&format!("killed-{context}"));
    let mut taken = Vec::new();
    for life in 0..LIVES {
        let task = Task { url: proxy.url(), folder: files.clone(), qos, life };
        let deeds = usize::try_from(random(life, 7) % 90).expect("small");
        taken.extend(task.run_and_kill("a_publisher_to_be_killed", 1 + deeds));
    }
    let came = runtime.block_on(async {
        let client = hasty(&broker.url(), "mortal").outbox_on_disk(&files);
        let client = client.connect_in_background().expect("the last one is dead");
        client.publish("t", "end").qos(qos).await.expect("on disk");
        up_to_the_end(watching).await
    });
    let mut seen = BTreeSet::new();
    let firsts: Vec<&String> = came.iter().filter(|text| seen.insert(text.as_str())).collect();
    if qos == QoS::ExactlyOnce {
        assert_eq!(firsts.len(), came.len(), "{context}: nothing comes twice");
    }
    let mut rest = firsts.into_iter();
    for text in &taken {
        assert!(rest.any(|came| came == text), "{context}: {text} is missing or out of order");
    }
    assert!(taken.len() > 60, "{context}: only {} were taken", taken.len());
}

#[test]
fn what_a_killed_process_was_responsible_for_arrives_in_order_and_at_qos_2_once() {
    for kind in EVERY {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            publisher_killed_again_and_again(kind, qos);
        }
    }
}

/// Makes the session that the messages are for, and publishes them.
async fn fill_session(broker: &Broker, files: &Path, qos: QoS, messages: u64) {
    let client = hasty(&broker.url(), "mortal").outbox_on_disk(files);
    let client = client.connect_in_background().expect("a folder of this test");
    let stream = client.subscribe("t").qos(qos).manual_acks().await.expect("granted");
    within("the end", client.close()).await;
    drop((stream, client));
    let publisher = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    for number in 0..messages {
        drop(publisher.publish("t", number.to_string()).qos(qos).await.expect("taken"));
    }
    within("every answer", publisher.close()).await;
}

fn subscriber_killed_again_and_again(kind: Kind, qos: QoS) {
    const MESSAGES: u64 = 500;
    let context = format!("subscriber-{kind:?}-{qos:?}");
    let broker = Broker::start(kind, &context);
    let runtime = runtime(1);
    let files = folder(&format!("killed-{context}"));
    runtime.block_on(fill_session(&broker, &files, qos, MESSAGES));
    let proxy = runtime.block_on(Proxy::stormy(broker.address, 3_000, 9));
    let (mut next, mut lives) = (0, 0);
    while next < MESSAGES {
        let task = Task { url: proxy.url(), folder: files.clone(), qos, life: lives };
        let deeds = 20 + random(lives, 3) % 60;
        let left = usize::try_from(deeds.min(MESSAGES - next)).expect("small");
        let told = task.run_and_kill("a_subscriber_to_be_killed", left);
        let mut told_before = None;
        for text in &told {
            let number: u64 = text.parse().expect("a number");
            assert!(number <= next, "{context}: {next} is missing before {number}");
            if qos == QoS::ExactlyOnce {
                // What comes again is what the life before had not acknowledged, and comes first.
                assert!(told_before.is_none_or(|before| number == before + 1), "{context}: {told:?}");
                told_before = Some(number);
            }
            next = next.max(number + 1);
        }
        lives += 1;
    }
    assert!(lives > 1, "{context}: it was never killed");
}

#[test]
fn what_a_killed_process_had_not_acknowledged_comes_to_the_next_one_and_nothing_else_does() {
    for kind in EVERY {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            subscriber_killed_again_and_again(kind, qos);
        }
    }
}
