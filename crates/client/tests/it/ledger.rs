//! A network that fails at any byte, and a ledger of what went in and what came out.

use crate::support::broker::{Broker, EVERY, Kind};
use crate::support::proxy::{Proxy, Trouble};
use crate::support::within;
use noctule_client::{Backoff, Builder, Client, ProtocolVersion, QoS, Subscription};
use std::time::Duration;

const MESSAGES: u32 = 300;

fn client(proxy: &Proxy, client_id: &str, version: ProtocolVersion) -> Builder {
    Client::builder(&proxy.url())
        .client_id(client_id)
        .version(version)
        .clean_start(false)
        .session_expiry(Duration::from_secs(3600))
        .keep_alive(Duration::from_secs(1))
        .response_timeout(Duration::from_millis(500))
        .connect_timeout(Duration::from_secs(2))
        // A window that a connection gets through before it is cut.
        .inflight_max(20)
        .receive_maximum(20)
        .backoff(Backoff {
            first: Duration::from_millis(5),
            max: Duration::from_millis(20),
            short_lived: Duration::from_millis(1),
        })
}

/// Everything up to the last number, as it came.
async fn collect(mut stream: Subscription) -> Vec<u32> {
    let mut came = Vec::new();
    while let Some(message) = stream.next().await {
        came.push(message.text().expect("text").parse().expect("a number"));
        if came.last() == Some(&MESSAGES) {
            break;
        }
    }
    came
}

/// Publisher and subscriber each behind a network that fails.
async fn through_trouble(kind: Kind, version: ProtocolVersion, qos: QoS, seed: u64) -> Vec<u32> {
    let broker = Broker::start(kind, &format!("ledger-{version:?}-{qos:?}"));
    let trouble = Trouble { bytes_max: 2_500, silent_every: 9 };
    let (to_publisher, to_subscriber) = (
        Proxy::start(broker.address, trouble, seed).await,
        Proxy::start(broker.address, trouble, seed + 1).await,
    );
    let subscriber = client(&to_subscriber, "subscriber", version).connect_in_background().expect("valid");
    let stream =
        within("SUBACK", subscriber.subscribe("ledger").qos(qos).into_future()).await.expect("granted");
    let publisher = client(&to_publisher, "publisher", version).connect_in_background().expect("valid");
    let collected = tokio::spawn(collect(stream));
    let mut handles = Vec::new();
    for number in 1..=MESSAGES {
        handles.push(publisher.publish("ledger", number.to_string()).qos(qos).await.expect("taken"));
    }
    for handle in handles {
        within("every answer", handle).await.expect("acknowledged");
    }
    to_subscriber.calm_down();
    let came = within("the last message", collected).await.expect("no panic");
    assert!(to_publisher.connections() > 2, "there was trouble");
    came
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qos_1_loses_nothing_and_keeps_the_order_of_first_arrivals() {
    for kind in EVERY {
        for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            let came = through_trouble(kind, version, QoS::AtLeastOnce, 11).await;
            let mut first = Vec::new();
            for number in came {
                if first.last().is_none_or(|last| *last < number) {
                    first.push(number);
                }
            }
            assert!(first.iter().copied().eq(1..=MESSAGES), "{kind:?} {version:?}: {first:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qos_2_is_exactly_once_and_in_order() {
    for kind in EVERY {
        for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            let came = through_trouble(kind, version, QoS::ExactlyOnce, 23).await;
            assert!(came.iter().copied().eq(1..=MESSAGES), "{kind:?} {version:?}: {came:?}");
        }
    }
}
