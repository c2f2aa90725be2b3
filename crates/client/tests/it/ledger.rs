//! A network that fails at any byte, and a ledger of what went in and what came out.

use crate::support::broker::{Broker, Kind, Promise, every_pair};
use crate::support::proxy::{Fate, Proxy, Weather};
use crate::support::{hasty, in_memory, within};
use noctule_client::{ProtocolVersion, QoS, Subscription};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;

/// Everything up to the last number, as it came; where order is not promised, until every number has come.
async fn collect(mut stream: Subscription, last: u32, promise: Promise) -> Vec<u32> {
    let (mut came, mut missing) = (Vec::new(), BTreeSet::from_iter(1..=last));
    while let Some(message) = stream.next().await {
        let number = message.text().expect("text").parse().expect("a number");
        came.push(number);
        missing.remove(&number);
        if missing.is_empty() || (number == last && promise != Promise::NoneMissing) {
            break;
        }
    }
    came
}

fn assert_ledger(came: &[u32], last: u32, promise: Promise, context: &str) {
    let mut seen = BTreeSet::new();
    let firsts: Vec<u32> = came.iter().copied().filter(|number| seen.insert(*number)).collect();
    let holds = match promise {
        Promise::NoneMissing => seen.into_iter().eq(1..=last),
        Promise::FirstArrivalsInOrder => firsts.into_iter().eq(1..=last),
        Promise::OnceInOrder => came.iter().copied().eq(1..=last),
    };
    assert!(holds, "{context}, {promise:?}: {came:?}");
}

/// Publisher and subscriber each behind a network that fails.
async fn through_a_storm(kind: Kind, version: ProtocolVersion, qos: QoS, seed: u64) {
    const MESSAGES: u32 = 300;
    let promise = kind.promises(qos);
    let broker = Broker::start(kind, &format!("ledger-{version:?}-{qos:?}"));
    let to_publisher = Proxy::stormy(broker.address, 2_500, seed).await;
    let to_subscriber = Proxy::stormy(broker.address, 2_500, seed + 1).await;
    let hasty = |proxy: &Proxy, client_id| hasty(&proxy.url(), client_id).version(version);
    let subscriber = hasty(&to_subscriber, "subscriber").connect_in_background().expect("valid");
    let stream =
        within("SUBACK", subscriber.subscribe("ledger").qos(qos).into_future()).await.expect("granted");
    let publisher = hasty(&to_publisher, "publisher").connect_in_background().expect("valid");
    let collected = tokio::spawn(collect(stream, MESSAGES, promise));
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
    assert_ledger(&came, MESSAGES, promise, &format!("{kind:?} {version:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qos_1_loses_nothing_and_keeps_the_order_of_first_arrivals() {
    for (kind, version) in every_pair() {
        through_a_storm(kind, version, QoS::AtLeastOnce, 11).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qos_2_is_exactly_once_and_in_order() {
    for (kind, version) in every_pair() {
        through_a_storm(kind, version, QoS::ExactlyOnce, 23).await;
    }
}

/// Whom to talk to, and how.
#[derive(Clone, Copy)]
struct To {
    kind: Kind,
    address: SocketAddr,
    version: ProtocolVersion,
}

/// One whole conversation: CONNECT, SUBSCRIBE, messages to itself at this QoS, DISCONNECT. The first connection has
/// this weather, the next ones are calm. Returns how many bytes went up and down.
async fn converse((broker, number): (To, u64), qos: QoS, first: Weather) -> (u64, u64) {
    let To { kind, address, version } = broker;
    let promise = kind.promises(qos);
    const MESSAGES: u32 = 3;
    let weather = move |connection| if connection == 1 { first } else { Weather::CALM };
    let proxy = Proxy::start(address, weather).await;
    // Of one length, so that every conversation has the same bytes at the same places.
    let (client_id, topic) = (format!("client-{number:06}"), format!("topic/{number:06}"));
    let client =
        hasty(&proxy.url(), &client_id).version(version).connect_in_background().expect("valid options");
    let context = format!("{kind:?} {version:?} {qos:?} {first:?}");
    let stream = within(&context, client.subscribe(&*topic).qos(qos).into_future()).await.expect("granted");
    for number in 1..=MESSAGES {
        drop(client.publish(&topic, number.to_string()).qos(qos).await.expect("taken"));
    }
    let came = within(&context, collect(stream, MESSAGES, promise)).await;
    within(&context, client.close()).await;
    assert_eq!(client.metrics().unsettled, 0, "{context}");
    assert_ledger(&came, MESSAGES, promise, &context);
    proxy.bytes()
}

/// A conversation for every byte of it, with the trouble at that byte, many at a time.
async fn at_every_byte(test: &str, (kind, version): (Kind, ProtocolVersion), trouble: impl Fn(u64) -> Fate) {
    const AT_A_TIME: usize = 100;
    let broker = Broker::start(kind, &format!("{test}-{version:?}"));
    let to = To { kind, address: broker.address, version };
    let (mut number, mut running) = (0, JoinSet::new());
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        number += 1;
        let (up, down) = converse((to, number), qos, Weather::CALM).await;
        assert!(up > 100 && down > 50, "{up} bytes up, {down} down");
        let ups = (0..up).map(|after| Weather { up: trouble(after), ..Weather::CALM });
        let downs = (0..down).map(|after| Weather { down: trouble(after), ..Weather::CALM });
        for weather in ups.chain(downs) {
            number += 1;
            if running.len() == AT_A_TIME {
                running.join_next().await.expect("some run").expect("no panic");
            }
            running.spawn(converse((to, number), qos, weather));
        }
    }
    while let Some(done) = running.join_next().await {
        done.expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_at_any_byte_of_a_conversation_changes_nothing() {
    for pair in every_pair() {
        at_every_byte("cut", pair, |after| Fate::Cut { after }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direction_that_falls_silent_at_any_byte_changes_nothing() {
    for pair in every_pair() {
        at_every_byte("silent", pair, |after| Fate::Silent { after }).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_late_is_only_late() {
    let broker = in_memory();
    let latency = Duration::from_millis(40);
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let late = Weather { latency, ..Weather::CALM };
        let proxy = Proxy::start(broker.address(), move |_| late).await;
        let client = hasty(&proxy.url(), "late").version(version).connect_in_background().expect("valid");
        let stream = within("SUBACK", client.subscribe("late").qos(QoS::ExactlyOnce).into_future()).await;
        let collected = tokio::spawn(collect(stream.expect("granted"), 100, Promise::OnceInOrder));
        for number in 1..=100 {
            drop(client.publish("late", number.to_string()).qos(QoS::ExactlyOnce).await.expect("taken"));
        }
        let came = within("the last message", collected).await.expect("no panic");
        assert_ledger(&came, 100, Promise::OnceInOrder, "late");
        assert_eq!(client.metrics().connections, 1);
    }
}
