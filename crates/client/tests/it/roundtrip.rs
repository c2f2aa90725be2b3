//! Every version, every QoS, every way to a server.

use crate::support::broker::{Broker, EVERY, Kind, aedes_library, folder, free_address};
use crate::support::{in_memory, within};
use noctule_client::{
    Client, Overflow, Presence, ProtocolVersion, PublishError, QoS, ReasonCode, State, SubscribeError,
};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5];
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

async fn connect(url: &str) -> Client {
    within("a connection", Client::connect(url)).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// Publishes to itself at every QoS.
async fn goes_round(client: &Client) {
    let mut messages =
        within("SUBACK", client.subscribe("a/+").qos(QoS::ExactlyOnce).into_future()).await.expect("granted");
    for qos in LEVELS {
        let handle = client.publish("a/b", format!("{qos:?}")).qos(qos).await.expect("taken");
        within("the answer", handle).await.expect("acknowledged");
        let message = within("the message", messages.next()).await.expect("not closed");
        assert_eq!((message.topic(), message.text(), message.qos()), ("a/b", Ok(&*format!("{qos:?}")), qos));
    }
}

#[tokio::test]
async fn mqtt_6_0_0_3_the_subprotocol_mqtt_is_offered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let client =
        Client::builder(&format!("ws://{address}/here")).connect_in_background().expect("valid options");
    let (mut stream, _) = within("a connection", listener.accept()).await.expect("a client");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("a request", stream.read_u8()).await.expect("a request"));
    }
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    assert!(head.starts_with("get /here http/1.1"), "{head}");
    assert!(head.contains("\r\nsec-websocket-protocol: mqtt\r\n"), "{head}");
    drop(client);
}

#[tokio::test]
async fn every_version_and_qos_goes_round() {
    for kind in EVERY {
        let broker = Broker::start(kind, "every_version");
        for version in VERSIONS {
            let client = Client::builder(&broker.url()).version(version);
            let client = within("a connection", client.connect()).await.expect("connected");
            goes_round(&client).await;
            within("the end", client.close()).await;
        }
    }
}

#[tokio::test]
async fn a_server_without_5_0_is_spoken_to_in_3_1_1() {
    if aedes_library().is_none() {
        return;
    }
    let broker = Broker::start(Kind::Aedes, "no_5_0");
    goes_round(&connect(&broker.url()).await).await;
    for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1] {
        let client = Client::builder(&broker.url()).version(version);
        goes_round(&within("a connection", client.connect()).await.expect("connected")).await;
    }
    let client = Client::builder(&broker.url()).version(ProtocolVersion::V5);
    let refused = within("a refusal", client.connect()).await.expect_err("it speaks no 5.0");
    assert!(refused.to_string().contains("Unsupported Protocol Version"), "{refused}");
}

#[tokio::test]
async fn properties_arrive_and_the_servers_answer_is_told() {
    for kind in EVERY {
        let broker = Broker::start(kind, "properties");
        let client = connect(&broker.url()).await;
        let mut messages = client.subscribe("p").await.expect("granted");
        let publish = client.publish("p", "x").content_type("text/plain").user_property("a", "b");
        let handle = publish.response_topic("r").correlation_data(b"c").await.expect("taken");
        let answer = within("PUBACK", handle).await.expect("acknowledged");
        assert_eq!(answer.reason_code(), ReasonCode::Success);
        let message = within("the message", messages.next()).await.expect("not closed");
        assert_eq!(message.content_type(), Some("text/plain"));
        assert_eq!((message.response_topic(), message.correlation_data()), (Some("r"), Some(&b"c"[..])));
        assert_eq!(message.user_properties().collect::<Vec<_>>(), [("a", "b")]);

        let handle = client.publish("nobody", "x").await.expect("taken");
        let answer = within("PUBACK", handle).await.expect("acknowledged");
        assert_eq!(answer.reason_code(), ReasonCode::NoMatchingSubscribers, "{kind:?}");
    }
}

#[tokio::test]
async fn overlapping_filters_bring_a_message_once_to_each_stream() {
    for kind in EVERY {
        let broker = Broker::start(kind, "overlapping");
        let client = connect(&broker.url()).await;
        let mut one = client.subscribe(["a/+", "a/b"]).await.expect("granted");
        let mut other = client.subscribe("#").await.expect("granted");
        for number in 0..3 {
            client.publish("a/b", number.to_string()).await.expect("taken").await.expect("acknowledged");
        }
        client.publish("end", "").await.expect("taken").await.expect("acknowledged");
        let mut seen = Vec::new();
        while let Some(message) = within("a message", other.next()).await
            && message.topic() != "end"
        {
            seen.push(message.text().expect("text").to_owned());
        }
        assert_eq!(seen, ["0", "1", "2"], "{kind:?}");
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(within("a message", one.next()).await.expect("open").text().expect("text").to_owned());
        }
        seen.dedup();
        assert_eq!(seen.first().map(String::as_str), Some("0"), "{kind:?}");
    }
}

#[tokio::test]
async fn a_retained_message_and_a_prefix() {
    for kind in EVERY {
        let broker = Broker::start(kind, "prefix");
        let plant = connect(&format!("{}/plant/7", broker.url())).await;
        plant.publish("temp", "20").retain(true).await.expect("taken").await.expect("acknowledged");
        let mut all = connect(&broker.url()).await.subscribe("#").await.expect("granted");
        let message = within("the retained message", all.next()).await.expect("not closed");
        assert_eq!((message.topic(), message.retain()), ("plant/7/temp", true));
        let mut own = plant.subscribe("+").await.expect("granted");
        let message = within("the retained message", own.next()).await.expect("not closed");
        assert_eq!(message.topic(), "temp");
    }
}

#[tokio::test]
async fn presence_is_told_at_both_ends() {
    for kind in EVERY {
        let broker = Broker::start(kind, "presence");
        let watcher = connect(&broker.url()).await;
        let mut status = watcher.subscribe("status").await.expect("granted");
        let builder = Client::builder(&broker.url()).presence(Presence::new("status", "on", "off"));
        let client = within("a connection", builder.connect()).await.expect("connected");
        let online = within("the birth", status.next()).await.expect("open");
        assert_eq!(online.text(), Ok("on"));
        within("the end", client.close()).await;
        let offline = within("the farewell", status.next()).await.expect("open");
        assert_eq!(offline.text(), Ok("off"));
    }
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let nobody = free_address();
    let refused = Client::connect(&format!("mqtt://{nobody}")).await.expect_err("nobody listens");
    assert!(refused.to_string().contains(&nobody.to_string()), "{refused}");
    let broker = in_memory();
    let client = connect(&broker.url()).await;
    assert!(matches!(client.subscribe("a/#/b").await, Err(SubscribeError::Filter { .. })));
    assert!(matches!(client.publish("a/+", "x").await, Err(PublishError::Topic(_))));
    within("the end", client.close()).await;
    assert!(matches!(client.publish("a", "x").await, Err(PublishError::Closed)));
    assert!(matches!(client.subscribe("a").await, Err(SubscribeError::Closed)));
    assert!(matches!(client.state().get(), State::Closed { cause: None }));
}

#[tokio::test]
async fn a_full_outbox_makes_publishers_wait_and_says_so_to_those_who_do_not() {
    let nobody = free_address();
    let builder = Client::builder(&format!("mqtt://{nobody}")).outbox(2, 1 << 20);
    let client = builder.connect_in_background().expect("valid options");
    for _ in 0..2 {
        client.publish("a", "x").await.expect("there is room");
    }
    assert!(matches!(client.publish("a", "x").try_now(), Err(PublishError::OutboxFull)));
    let waiting = tokio::time::timeout(Duration::from_millis(50), client.publish("a", "x").into_future());
    assert!(waiting.await.is_err());
    within("the end", client.close_within(Duration::ZERO)).await;
}

#[tokio::test]
async fn mqtt311_7_1_2_1_unix_websocket_and_tls_are_ways_too() {
    let files = folder("ways");
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    let (certificate, key) = (files.join("cert.pem"), files.join("key.pem"));
    std::fs::write(&certificate, certified.cert.pem()).expect("writable");
    std::fs::write(&key, certified.signing_key.serialize_pem()).expect("writable");
    let (tls, ws, wss) = (free_address().port(), free_address().port(), free_address().port());
    let configuration = format!("[tls]\ncertificate = [{certificate:?}]\nkey = [{key:?}]\n");
    let file = files.join("noctule.toml");
    std::fs::write(&file, configuration).expect("writable");
    let socket = files.join("socket");
    let listen = [
        format!("tls://localhost:{tls}"),
        format!("ws://localhost:{ws}"),
        format!("wss://localhost:{wss}"),
        format!("unix:{}", socket.display()),
    ];
    let mut arguments = vec!["--config", file.to_str().expect("text")];
    listen.iter().for_each(|listen| arguments.extend(["--listen", listen]));
    let _broker = Broker::with_listeners(Kind::Noctule, "ways", &arguments);

    goes_round(&connect(&format!("unix:{}", socket.display())).await).await;
    goes_round(&connect(&format!("ws://localhost:{ws}")).await).await;
    for url in [format!("mqtts://localhost:{tls}"), format!("wss://localhost:{wss}")] {
        let client = within("a connection", Client::builder(&url).ca_file(&certificate).connect()).await;
        goes_round(&client.unwrap_or_else(|error| panic!("{url}: {error}"))).await;
        let stranger = within("a refusal", Client::connect(&url)).await;
        assert!(stranger.is_err(), "nobody the system trusts has signed it");
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_stops_nothing_but_itself() {
    const MESSAGES: u64 = 600;
    for kind in EVERY {
        let broker = Broker::start(kind, "unread");
        let client = connect(&broker.url()).await;
        let mut unread = client.subscribe("a").buffer(10, 1 << 20).await.expect("granted");
        for number in 0..MESSAGES {
            let handle = client.publish("a", number.to_string()).await.expect("taken");
            within("PUBACK", handle).await.expect("acknowledged");
        }
        assert!(client.metrics().received < MESSAGES, "the server is held back at this client's window");
        for number in 0..MESSAGES {
            let message = within("what was held back", unread.next()).await.expect("open");
            assert_eq!(message.text(), Ok(&*number.to_string()), "{kind:?}");
        }
        assert_eq!(unread.dropped(), 0);
    }
}

#[tokio::test]
async fn a_full_buffer_drops_what_its_policy_says() {
    let broker = in_memory();
    let client = connect(&broker.url()).await;
    let newest = client.subscribe("a").buffer(3, 1 << 20).overflow(Overflow::DropOldest);
    let mut newest = newest.await.expect("granted");
    let oldest = client.subscribe("a").buffer(3, 1 << 20).overflow(Overflow::DropNewest);
    let mut oldest = oldest.await.expect("granted");
    let mut all = client.subscribe("#").await.expect("granted");
    for number in 0..10 {
        client.publish("a", number.to_string()).await.expect("taken").await.expect("acknowledged");
        within("the message", all.next()).await.expect("open");
    }
    for (newer, older) in [("7", "0"), ("8", "1"), ("9", "2")] {
        assert_eq!(within("a message", newest.next()).await.expect("open").text(), Ok(newer));
        assert_eq!(within("a message", oldest.next()).await.expect("open").text(), Ok(older));
    }
    assert_eq!((newest.dropped(), oldest.dropped(), client.metrics().overflowed), (7, 7, 14));
}
