//! rumqttc, measured.

use crate::{Cost, Stopwatch, Task, WINDOW, noctule, runtime};
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use std::sync::atomic::Ordering;

fn connect(task: &Task, client_id: &str) -> (AsyncClient, EventLoop, QoS) {
    let (host, port) = task.address.split_once(':').expect("host:port");
    let mut options = MqttOptions::new(client_id, host, port.parse().expect("a port"));
    options.set_outgoing_inflight_upper_limit(WINDOW).set_receive_maximum(Some(WINDOW));
    let (client, event_loop) = AsyncClient::new(options, 10 * usize::from(WINDOW));
    let qos = match task.qos as u8 {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    (client, event_loop, qos)
}

/// Publishes everything and waits for as many answers.
pub(crate) fn publish(task: Task) -> Cost {
    runtime().block_on(async {
        let (client, mut event_loop, qos) = connect(&task, "throughput-up");
        while !matches!(event_loop.poll().await.expect("a connection"), Event::Incoming(Packet::ConnAck(_))) {
        }
        let stopwatch = Stopwatch::start();
        let (messages, payload) = (task.messages, task.payload.clone());
        let publisher = client.clone();
        tokio::spawn(async move {
            for _ in 0..messages {
                publisher.publish("throughput/up", qos, false, payload.clone()).await.expect("taken");
            }
        });
        let mut answered = 0;
        while answered < task.messages {
            answered += usize::from(match event_loop.poll().await.expect("open") {
                Event::Outgoing(Outgoing::Publish(_)) => qos == QoS::AtMostOnce,
                Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) => true,
                _ => false,
            });
        }
        stopwatch.stop()
    })
}

/// Receives everything.
pub(crate) fn receive(task: Task) -> Cost {
    runtime().block_on(async {
        let (client, mut event_loop, qos) = connect(&task, "throughput-down");
        client.subscribe("throughput/down", qos).await.expect("taken");
        while !matches!(event_loop.poll().await.expect("a connection"), Event::Incoming(Packet::SubAck(_))) {}
        let sender = noctule::send(task.clone());
        let stopwatch = Stopwatch::start();
        let mut received = 0;
        while received < task.messages {
            if let Event::Incoming(Packet::Publish(_)) = event_loop.poll().await.expect("open") {
                received += 1;
                task.received.store(received, Ordering::Relaxed);
            }
        }
        let cost = stopwatch.stop();
        client.disconnect().await.expect("taken");
        while event_loop.poll().await.is_ok() {}
        sender.join().expect("the sender has not panicked");
        cost
    })
}
