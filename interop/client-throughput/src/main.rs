//! How fast two client libraries publish and receive, and what that costs them: noctule-client and rumqttc, by turns,
//! against one broker that runs already.
//!
//! ```sh
//! client-throughput 127.0.0.1:1883 [MESSAGES]
//! ```
//!
//! The library that is measured has a thread of its own with a runtime of one thread; its processor time is that of
//! this thread, from the first message until the last is answered or has come. What is at the other end of the broker
//! is noctule-client for both. MQTT 5.0, a window of [`WINDOW`] messages, the median of [`ROUNDS`] rounds.

mod noctule;
mod rumqtt;

use noctule_client::QoS;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Messages that may be on their way at a time.
const WINDOW: u16 = 100;
const ROUNDS: usize = 5;
const PAYLOAD_BYTES: [usize; 2] = [16, 1024];

/// What is to be done.
#[derive(Clone)]
struct Task {
    address: String,
    qos: QoS,
    payload: Vec<u8>,
    messages: usize,
    /// How many have come, for whoever must not be too far ahead.
    received: Arc<AtomicUsize>,
}

/// What it took.
#[derive(Clone, Copy, Default)]
struct Cost {
    wall: Duration,
    cpu: Duration,
}

/// Measures from here on.
struct Stopwatch(Instant, Duration);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now(), thread_cpu())
    }

    fn stop(&self) -> Cost {
        Cost { wall: self.0.elapsed(), cpu: thread_cpu().saturating_sub(self.1) }
    }
}

type Measure = fn(Task) -> Cost;

fn main() {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:1883".to_owned());
    let messages = args.next().map_or(50_000, |text| text.parse().expect("a number of messages"));
    let only = args.next();
    println!(
        "| what | payload, bytes | noctule-client, thousand/s | rumqttc | × | noctule-client, CPU-µs | rumqttc | × |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (what, ours, theirs) in [
        ("publish", noctule::publish as Measure, rumqtt::publish as Measure),
        ("receive", noctule::receive, rumqtt::receive),
    ] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for bytes in PAYLOAD_BYTES {
                let name = format!("{what} QoS {}", qos as u8);
                if only.as_ref().is_some_and(|only| !name.contains(only)) {
                    continue;
                }
                let received = Arc::default();
                let task =
                    Task { address: address.clone(), qos, payload: vec![b'x'; bytes], messages, received };
                println!("{}", row(&name, &task, ours, theirs));
            }
        }
    }
}

fn row(name: &str, task: &Task, ours: Measure, theirs: Measure) -> String {
    let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_costs.push(on_a_thread(task, ours));
        their_costs.push(on_a_thread(task, theirs));
    }
    let (our_wall, their_wall) =
        (median(&our_costs, |cost| cost.wall), median(&their_costs, |cost| cost.wall));
    let (our_cpu, their_cpu) = (median(&our_costs, |cost| cost.cpu), median(&their_costs, |cost| cost.cpu));
    let messages = task.messages as f64;
    let (rate, micros) = (|wall: f64| messages / wall / 1e3, |cpu: f64| cpu / messages * 1e6);
    let mut row = format!("| {name} | {} ", task.payload.len());
    let _ = write!(row, "| {:.0} | {:.0} | {:.2} ", rate(our_wall), rate(their_wall), their_wall / our_wall);
    let _ = write!(row, "| {:.2} | {:.2} | {:.2} |", micros(our_cpu), micros(their_cpu), our_cpu / their_cpu);
    row
}

fn on_a_thread(task: &Task, measure: Measure) -> Cost {
    task.received.store(0, Ordering::Relaxed);
    let task = task.clone();
    let thread = std::thread::Builder::new().name("measured".to_owned()).spawn(move || measure(task));
    thread.expect("a thread").join().expect("the library has not panicked")
}

fn median(costs: &[Cost], part: fn(&Cost) -> Duration) -> f64 {
    let mut parts: Vec<f64> = costs.iter().map(|cost| part(cost).as_secs_f64()).collect();
    parts.sort_by(f64::total_cmp);
    parts[parts.len() / 2]
}

/// Processor time of this thread so far.
fn thread_cpu() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("a number of nanoseconds"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
