//! How many messages a second the library publishes and receives, and what one costs in processor time.
//!
//! `cargo run --release -p noctule-client --example throughput -- mqtt://localhost [MESSAGES]`
//!
//! The server is in a process of its own, and so is whoever publishes what is received here, so the processor time is
//! that of one client alone. Every message is counted at the far end: publishing is over when the last
//! acknowledgement has come, receiving when the last message has been taken.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use noctule_client::{Client, QoS};
use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const PAYLOAD: [u8; 64] = [b'x'; 64];
const MESSAGES: u32 = 200_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["publish", url, qos, messages] => publish(url, level(qos)?, messages.parse()?).await,
        [url] => measure(url, MESSAGES).await,
        [url, messages] => measure(url, messages.parse()?).await,
        _ => Err("usage: throughput URL [MESSAGES]".into()),
    }
}

async fn measure(url: &str, messages: u32) -> Result<()> {
    println!("{messages} messages of {} bytes, one client, one thread", PAYLOAD.len());
    println!("what          messages/s   µs of processor time each");
    for qos in LEVELS {
        let watch = Watch::start()?;
        publish(url, qos, messages).await?;
        watch.print(&format!("publish QoS {}", qos as u8), messages)?;
    }
    for qos in LEVELS {
        let (watch, received) = receive(url, qos, messages).await?;
        watch.print(&format!("receive QoS {}", qos as u8), received)?;
        if received < messages {
            println!("              {} were dropped on their way", messages - received);
        }
    }
    Ok(())
}

/// Publishes and waits for every answer.
async fn publish(url: &str, qos: QoS, messages: u32) -> Result<()> {
    let client = Client::builder(url).inflight_max(u16::MAX).connect().await?;
    let mut last = None;
    for _ in 0..messages {
        last = Some(client.publish("throughput", &PAYLOAD).qos(qos).await?);
    }
    if let Some(last) = last {
        last.await?;
    }
    client.close_within(Duration::from_secs(60)).await;
    match client.metrics().unsettled {
        0 => Ok(()),
        unsettled => Err(format!("{unsettled} messages were not acknowledged").into()),
    }
}

/// Has another process publish, and takes what comes. QoS 0 may be dropped on its way, so its end is a silence.
async fn receive(url: &str, qos: QoS, messages: u32) -> Result<(Watch, u32)> {
    let client = Client::builder(url).receive_maximum(u16::MAX).connect().await?;
    let mut stream = client.subscribe("throughput").qos(qos).buffer(1 << 20, 1 << 28).await?;
    let mut publisher = Command::new(std::env::current_exe()?);
    publisher.args(["publish", url, &(qos as u8).to_string(), &messages.to_string()]).stdin(Stdio::null());
    let mut publisher = publisher.spawn()?;
    let mut watch = Watch::start()?;
    let mut received = 0;
    while received < messages {
        match tokio::time::timeout(Duration::from_secs(2), stream.next()).await {
            Ok(Some(_)) => received += 1,
            _ if qos == QoS::AtMostOnce => break,
            _ => return Err(format!("only {received} of {messages} messages have come").into()),
        }
        if received == 1 {
            watch = Watch::start()?;
        }
        watch.ended = Instant::now();
    }
    publisher.wait()?;
    Ok((watch, received))
}

fn level(text: &str) -> Result<QoS> {
    QoS::from_bits(text.parse()?).ok_or_else(|| "a QoS is 0, 1 or 2".into())
}

/// What has passed, on the wall and in this process.
struct Watch {
    started: Instant,
    ended: Instant,
    ticks: u64,
}

impl Watch {
    fn start() -> Result<Self> {
        let now = Instant::now();
        Ok(Self { started: now, ended: now, ticks: processor_ticks()? })
    }

    fn print(&self, what: &str, messages: u32) -> Result<()> {
        let ended = if self.ended > self.started { self.ended } else { Instant::now() };
        let seconds = (ended - self.started).as_secs_f64();
        let microseconds = (processor_ticks()? - self.ticks) as f64 * 1e6 / TICKS_PER_SECOND;
        let messages = f64::from(messages);
        println!("{what:13} {:>10.0}   {:.2}", messages / seconds, microseconds / messages);
        Ok(())
    }
}

/// Processor time of this process, in user and kernel, as Linux counts it.
fn processor_ticks() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(") ").ok_or("an odd /proc/self/stat")?.1;
    let mut fields = after_name.split(' ').skip(11);
    let mut field = || -> Result<u64> { Ok(fields.next().ok_or("a short /proc/self/stat")?.parse()?) };
    Ok(field()? + field()?)
}

const TICKS_PER_SECOND: f64 = 100.0;
