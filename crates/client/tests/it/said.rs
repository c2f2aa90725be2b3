//! What a client says because it was told to, as a server hears it, and what it tells of what the server says.

use crate::support::peer::{Peer, listen};
use crate::support::{hasty, in_memory, within};
use noctule_client::{
    BuildError, Client, ConnectError, Presence, Properties, Property, PublishError, QoS, ReasonCode, State,
    SubscribeError,
};
use noctule_codec::{Packet, SubAck};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn a_will_and_connect_say_the_properties_they_were_given() {
    let (listener, address) = listen().await;
    let will = Presence::will("gone/7", "gone").delay(Duration::from_secs(30)).qos(QoS::ExactlyOnce);
    let builder = hasty(&format!("mqtt://{address}"), "c")
        .presence(will.property(Property::ContentType("text/plain")).retain(false))
        .credentials("anna", [0xff, 0x00])
        .property(Property::RequestResponseInformation(true))
        .property(Property::ReceiveMaximum(7));
    let connecting = tokio::spawn(builder.connect());
    let mut peer = Peer::accept(&listener).await;
    peer.hear(|packet| {
        let Packet::Connect(connect) = packet else { panic!("{packet:?}") };
        let will = connect.will.as_ref().expect("a will");
        assert_eq!(
            (will.topic, will.payload, will.qos, will.retain),
            ("gone/7", &b"gone"[..], QoS::ExactlyOnce, false)
        );
        assert_eq!(will.properties.will_delay_interval(), Some(30));
        assert_eq!(will.properties.content_type(), Some("text/plain"));
        assert_eq!(connect.password, Some(&[0xff, 0x00][..]));
        assert_eq!(connect.properties.request_response_information(), Some(true));
        assert_eq!(connect.properties.receive_maximum(), Some(7), "said once, and as the user wants it");
    })
    .await;
    peer.let_in(
        Properties::new().with(Property::ResponseInformation("answers/7")).with(Property::ServerKeepAlive(9)),
    )
    .await;
    let client = within("a connection", connecting).await.expect("no panic").expect("let in");
    let State::Connected { properties, .. } = client.state().get() else { panic!("connected") };
    assert_eq!(properties.response_information(), Some("answers/7"));
    assert_eq!(client.server().map(|server| server.keep_alive_seconds), Some(9));
    // A will alone is not told at the end, nor anything at the beginning.
    tokio::spawn(async move { client.close().await });
    peer.hear(|packet| assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?}")).await;
}

#[tokio::test]
async fn filters_are_subscribed_at_their_own_qos_and_what_is_granted_is_told() {
    let (listener, address) = listen().await;
    let connecting = tokio::spawn(hasty(&format!("mqtt://{address}"), "c").connect());
    let mut peer = Peer::accept(&listener).await;
    peer.hear(|packet| assert!(matches!(packet, Packet::Connect(_)))).await;
    peer.let_in(Properties::EMPTY).await;
    let client = within("a connection", connecting).await.expect("no panic").expect("let in");
    let filters = [("a", QoS::ExactlyOnce), ("b", QoS::AtMostOnce)];
    let stream = client.subscribe(filters).user_property("who", "me").begin().expect("valid");
    assert_eq!(stream.granted_qos(), None);
    for (filter, qos) in filters {
        let packet_id = peer.hear(|packet| {
            let Packet::Subscribe(subscribe) = packet else { panic!("{packet:?}") };
            let asked: Vec<_> =
                subscribe.filters.iter().map(|(text, options)| (text.to_owned(), options.qos)).collect();
            assert_eq!(asked, [(filter.to_owned(), qos)]);
            assert_eq!(subscribe.properties.user_properties().collect::<Vec<_>>(), [("who", "me")]);
            subscribe.packet_id
        });
        let (packet_id, properties) = (packet_id.await, Properties::EMPTY);
        let reason_codes =
            vec![if filter == "a" { ReasonCode::GrantedQoS1 } else { ReasonCode::Success }].into();
        peer.say(&Packet::SubAck(SubAck { packet_id, properties, reason_codes })).await;
    }
    let mut messages = client.watch_metrics();
    within("both answers", messages.wait_for(|metrics| metrics.packets_received == 3)).await.expect("open");
    assert_eq!(stream.granted_qos(), Some(QoS::AtMostOnce), "the lowest");
}

#[tokio::test]
async fn properties_that_cannot_be_sent_are_refused() {
    let broker = in_memory();
    let long = "x".repeat(70_000);
    let refused = Client::builder(&broker.url()).user_property("name", &long).connect().await;
    assert!(matches!(refused, Err(ConnectError::Build(BuildError::Property(_)))));
    let will = Presence::will("t", "").property(Property::ContentType(&long));
    let refused = Client::builder(&broker.url()).presence(will).connect().await;
    assert!(matches!(refused, Err(ConnectError::Build(BuildError::Property(_)))));
    let client = Client::connect(&broker.url()).await.expect("a connection");
    assert!(matches!(
        client.subscribe("t").user_property("name", &long).await,
        Err(SubscribeError::Property(_))
    ));
    assert!(matches!(
        client.publish("t", "").user_property("name", &long).await,
        Err(PublishError::Property(_))
    ));
}

#[tokio::test]
async fn the_upgrade_to_websocket_says_headers_and_the_query_that_are_the_servers() {
    let (listener, address) = listen().await;
    let url = format!("ws://{address}/mqtt?keepalive=9&token=a%2Bb");
    let connecting = tokio::spawn(Client::builder(&url).header("X-Token", "secret").connect());
    let (mut stream, _) = within("a client", listener.accept()).await.expect("a client");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(within("the request", stream.read_u8()).await.expect("open"));
    }
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.expect("open");
    drop(stream);
    let request = String::from_utf8(request).expect("text").to_lowercase();
    assert!(request.starts_with("get /mqtt?token=a%2bb http/1.1\r\n"), "{request}");
    assert!(request.contains("x-token: secret\r\n"), "{request}");
    within("a refusal", connecting).await.expect("no panic").expect_err("forbidden");
    let refused = Client::builder(&url).header("X Token", "secret").connect().await;
    assert!(matches!(refused, Err(ConnectError::Build(BuildError::Header { name })) if name == "X Token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_at_the_state_may_take_his_time_and_use_the_client() {
    let broker = in_memory();
    let client = Client::connect(&broker.url()).await.expect("a connection");
    let (mut states, state) = (client.state(), client.state().get());
    drop(broker);
    // The state changes while the first one is still in somebody's hand.
    within("the loss", states.wait_for(|state| !state.is_connected())).await.expect("told");
    assert!(state.is_connected());
    client.publish("t", "while it is looked at").try_now().expect("there is room");
    client.close_within(Duration::ZERO).await;
    while within("the next state", states.next()).await.is_some() {}
    assert!(client.state().get().is_closed() && !client.is_connected());
    assert!(within("no more", states.next()).await.is_none(), "nothing comes after the end");
}

#[tokio::test]
async fn ten_thousand_filters_cost_nothing_for_a_message() {
    const FILTERS: usize = 10_000;
    let broker = in_memory();
    let client = Client::connect(&broker.url()).await.expect("a connection");
    let filters: Vec<String> = (0..FILTERS).map(|number| format!("many/{number}")).collect();
    let mut many = within("all of them", client.subscribe(filters).into_future()).await.expect("granted");
    for round in 0..1_000 {
        client.publish(&format!("many/{round}"), "x").await.expect("taken");
        assert_eq!(within("a message", many.next()).await.expect("open").topic(), format!("many/{round}"));
    }
    drop(many);
    within("the end", client.close()).await;
}
