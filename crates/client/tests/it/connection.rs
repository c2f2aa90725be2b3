//! One connection that does only what it is told.

use crate::support::broker::{Broker, EVERY, free_address};
use crate::support::within;
use noctule_client::machine::{ConnectOptions, DisconnectCause, Event, Message, PublishOutcome};
use noctule_client::{
    Client, ConnectError, Connection, ConnectionError, DialStep, Direction, ProtocolVersion, QoS, ReasonCode,
};
use noctule_codec::{PacketType, Properties, SubscribeFilters, SubscriptionOptions};
use std::sync::{Arc, Mutex};

fn options(version: ProtocolVersion) -> ConnectOptions {
    ConnectOptions { version, client_id: "told".into(), manual_acks: true, ..ConnectOptions::default() }
}

async fn next(connection: &mut Connection) -> Option<Event> {
    within("an event", connection.next()).await
}

#[tokio::test]
async fn nothing_is_hidden_and_nothing_is_added() {
    for kind in EVERY {
        let broker = Broker::start(kind, "connection");
        for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            let opened = Client::builder(&broker.url()).open(options(version)).await;
            let mut connection = opened.expect("a way to the server");
            let seen = Arc::new(Mutex::new(Vec::new()));
            let show = Arc::clone(&seen);
            connection.observe(move |direction, packet| {
                show.lock().expect("not poisoned").push((direction, packet.packet_type()));
            });
            assert!(matches!(
                next(&mut connection).await,
                Some(Event::Connected { session_present: false, .. })
            ));

            let at_one = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
            let filters: SubscribeFilters<'_> = [("a/+", at_one)].into_iter().collect();
            connection.subscribe(filters, Properties::EMPTY).expect("asked");
            assert!(matches!(next(&mut connection).await, Some(Event::Subscribed { .. })));
            let message =
                Message { topic: "a/b", payload: b"x", qos: QoS::AtLeastOnce, ..Message::default() };
            connection.publish(&message).expect("taken");
            let (mut is_acknowledged, mut delivery) = (false, None);
            while !is_acknowledged || delivery.is_none() {
                match next(&mut connection).await {
                    Some(Event::Published { outcome: PublishOutcome::Acknowledged(_), .. }) => {
                        is_acknowledged = true;
                    }
                    Some(Event::Message(message)) => delivery = Some(message),
                    other => panic!("{other:?}"),
                }
            }
            let delivery = delivery.expect("a message");
            assert!(delivery.properties.is_empty(), "no identifiers of subscriptions");
            connection.acknowledge(delivery.receipt.expect("a receipt"));
            connection.disconnect(ReasonCode::NORMAL_DISCONNECTION, Properties::EMPTY).expect("connected");
            let ended = next(&mut connection).await;
            assert_eq!(ended, Some(Event::Disconnected { cause: DisconnectCause::Requested }));
            assert_eq!(next(&mut connection).await, None);

            let mut sent = seen.lock().expect("not poisoned").clone();
            sent.retain(|(direction, _)| *direction == Direction::Sent);
            let types: Vec<PacketType> = sent.into_iter().map(|(_, packet_type)| packet_type).collect();
            use PacketType::{Connect, Disconnect, PubAck, Publish, Subscribe};
            assert_eq!(types, [Connect, Subscribe, Publish, PubAck, Disconnect]);
        }
    }
}

#[tokio::test]
async fn what_ends_stays_ended_until_it_is_opened_again() {
    for kind in EVERY {
        let mut broker = Broker::start(kind, "connection_ends");
        let opened = Client::builder(&broker.url()).open(options(ProtocolVersion::V5)).await;
        let mut connection = opened.expect("a way to the server");
        assert!(matches!(next(&mut connection).await, Some(Event::Connected { .. })));
        broker.kill();
        let ended = next(&mut connection).await;
        assert_eq!(ended, Some(Event::Disconnected { cause: DisconnectCause::ConnectionLost }));
        assert_eq!(next(&mut connection).await, None);
        let refused = connection.reopen().await;
        assert!(matches!(refused, Err(ConnectionError::Dial { step: DialStep::Connect, .. })), "{refused:?}");
        assert_eq!(next(&mut connection).await, None);
        broker.crash();
        connection.reopen().await.expect("a way to the server");
        assert!(matches!(next(&mut connection).await, Some(Event::Connected { .. })));
    }
}

#[tokio::test]
async fn the_step_that_failed_is_named() {
    let nobody = format!("mqtt://{}", free_address());
    let broker = Broker::start(EVERY[0], "connection_steps");
    let plain = broker.url().replace("mqtt://", "mqtts://");
    let cases = [
        (Client::builder(&nobody), DialStep::Connect),
        (Client::builder("mqtt://nowhere.invalid"), DialStep::Lookup),
        (Client::builder(&broker.url()).bind("nowhere.invalid"), DialStep::Lookup),
        (Client::builder(&broker.url()).bind("192.0.2.77"), DialStep::Connect),
        (
            Client::builder(&broker.url()).proxy(&broker.url().replace("mqtt://", "socks5://")),
            DialStep::Proxy,
        ),
        (Client::builder(&plain), DialStep::Tls),
    ];
    for (builder, expected) in cases {
        let error = within("an error", builder.open(options(ProtocolVersion::V5))).await.map(drop);
        match error {
            Err(ConnectError::Connection(ConnectionError::Dial { step, .. })) => assert_eq!(step, expected),
            other => panic!("{expected:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn it_connects_from_the_address_that_it_is_told() {
    let broker = Broker::start(EVERY[0], "connection_bind");
    let opened =
        Client::builder(&broker.url()).bind("127.0.0.2").nodelay(false).open(options(ProtocolVersion::V5));
    let mut connection = opened.await.expect("a way to the server");
    assert!(matches!(next(&mut connection).await, Some(Event::Connected { .. })));
}
