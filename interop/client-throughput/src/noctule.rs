//! noctule-client, measured, and as the other end of what is measured.

use crate::{Cost, Stopwatch, Task, WINDOW, runtime};
use noctule_client::{Builder, Client, PublishHandle};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Sessions end with their connections, as those of rumqttc do: a broker need not write them to its disk.
fn builder(task: &Task) -> Builder {
    let builder = Client::builder(&format!("mqtt://{}", task.address)).session_expiry(Duration::ZERO);
    builder.inflight_max(WINDOW).receive_maximum(WINDOW)
}

/// Publishes everything and waits for every answer.
pub(crate) fn publish(task: Task) -> Cost {
    runtime().block_on(async {
        let client = builder(&task).connect().await.expect("a connection");
        let stopwatch = Stopwatch::start();
        let mut handles: VecDeque<PublishHandle> = VecDeque::new();
        for _ in 0..task.messages {
            if handles.len() >= 10 * usize::from(WINDOW) {
                handles.pop_front().expect("there are many").await.expect("an answer");
            }
            let publish = client.publish("throughput/up", &*task.payload).qos(task.qos);
            handles.push_back(publish.await.expect("taken"));
        }
        for handle in handles {
            handle.await.expect("an answer");
        }
        let cost = stopwatch.stop();
        client.close().await;
        cost
    })
}

/// Receives everything.
pub(crate) fn receive(task: Task) -> Cost {
    runtime().block_on(async {
        let client = builder(&task).connect().await.expect("a connection");
        // Room for everything that is on its way: QoS 0 is dropped above it.
        let messages = client.subscribe("throughput/down").qos(task.qos).buffer(10_000, 64 << 20);
        let mut messages = messages.await.expect("granted");
        let sender = send(task.clone());
        let stopwatch = Stopwatch::start();
        for number in 1..=task.messages {
            messages.next().await.expect("the client is not closed");
            task.received.store(number, Ordering::Relaxed);
        }
        let cost = stopwatch.stop();
        client.close().await;
        sender.join().expect("the sender has not panicked");
        cost
    })
}

/// Publishes everything from a thread of its own, never more than four windows ahead of who receives it.
pub(crate) fn send(task: Task) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        runtime().block_on(async {
            let client = builder(&task).connect().await.expect("a connection");
            for number in 0..task.messages {
                while number >= task.received.load(Ordering::Relaxed) + 4 * usize::from(WINDOW) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                client.publish("throughput/down", &*task.payload).qos(task.qos).await.expect("taken");
            }
            while task.received.load(Ordering::Relaxed) < task.messages {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            client.close().await;
        });
    })
}
