//! What a client tells of itself: numbers and traces.

use crate::support::{in_memory, within};
use noctule_client::{Client, Metrics, QoS};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

async fn metrics(client: &Client, are_they: impl FnMut(&Metrics) -> bool) -> Metrics {
    let mut metrics = client.watch_metrics();
    within("the metrics", metrics.wait_for(are_they)).await.expect("the client is there")
}

#[tokio::test]
async fn numbers_are_told_as_they_change() {
    let broker = in_memory();
    let client = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    let connected = client.metrics();
    assert_eq!((connected.attempts, connected.connections, connected.reconnections()), (1, 1, 0));
    assert_eq!((connected.packets_sent, connected.packets_received), (1, 1));
    assert!(connected.bytes_sent > 20 && connected.bytes_received > 4);

    let mut stream = client.subscribe("a").qos(QoS::ExactlyOnce).await.expect("granted");
    let publish = client.publish("a", vec![0; 100]).qos(QoS::ExactlyOnce);
    let handle = publish.await.expect("taken");
    let taken = client.metrics();
    assert_eq!((taken.published, taken.unsettled, taken.outbox_messages, taken.outbox_bytes), (1, 1, 1, 101));
    within("the answer", handle).await.expect("acknowledged");
    within("the message", stream.next()).await.expect("open");
    // CONNECT, SUBSCRIBE, PUBLISH, PUBREL and PUBREC, PUBCOMP; the server says as many and its PUBLISH.
    let settled = metrics(&client, |it| it.packets_sent == 6 && it.packets_received == 6).await;
    assert_eq!((settled.acknowledged, settled.received, settled.in_flight), (1, 1, 0));
    assert_eq!((settled.unsettled, settled.outbox_messages, settled.outbox_bytes), (0, 0, 0));
    assert!(settled.bytes_sent > taken.bytes_sent && settled.bytes_received > 100);
}

#[tokio::test]
async fn coming_back_is_counted() {
    let broker = in_memory();
    let address = broker.address();
    let backoff = noctule_client::Backoff { first: std::time::Duration::ZERO, ..Default::default() };
    let client = Client::builder(&broker.url()).backoff(backoff);
    let client = within("a connection", client.connect()).await.expect("connected");
    broker.stop().expect("in order");
    let lost = metrics(&client, |it| it.attempts > 1).await;
    assert_eq!(lost.connections, 1);
    let _broker = noctule_broker::testing::Broker::start_with(noctule_broker::testing::config_at(address))
        .expect("the same port");
    let back = metrics(&client, |it| it.reconnections() == 1).await;
    assert!(back.attempts >= 2);
}

/// Keeps what is traced.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn traces_name_connections_and_publications_and_no_payloads_or_secrets() {
    let kept = Kept::default();
    let subscriber = || {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        subscriber.with_span_events(FmtSpan::CLOSE).with_writer(kept.clone()).finish()
    };
    // While there is one only, what other tests' threads come across first is taken to interest nobody.
    let _other = tracing::Dispatch::new(subscriber());
    let subscriber = subscriber();
    // This runtime has one thread, so this is the subscriber of everything that the client does.
    let _guard = tracing::subscriber::set_default(subscriber);
    let broker = in_memory();
    let builder = Client::builder(&broker.url()).client_id("plant7").credentials("operator", "PASSWORD");
    let client = within("a connection", builder.connect()).await.expect("connected");
    let mut stream = client.subscribe("line1/temp").await.expect("granted");
    let handle = client.publish("line1/temp", "PAYLOAD").user_property("p", "PROPERTY").await.expect("taken");
    within("the answer", handle).await.expect("acknowledged");
    within("the message", stream.next()).await.expect("open");
    broker.stop().expect("in order");
    let mut state = client.state();
    within("the end", state.wait_for(|state| !state.is_connected())).await.expect("told");
    within("the end", client.close()).await;

    let text = String::from_utf8(kept.0.lock().expect("no panic").clone()).expect("text");
    let has_line = |words: &[&str]| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(has_line(&["connected", "client_id=\"plant7\"", "connection{number=1}"]), "{text}");
    assert!(
        has_line(&["publish{", "topic=\"line1/temp\"", "packet_id=1", "outcome=Acknowledged", "close"]),
        "{text}"
    );
    assert!(has_line(&["no connection", "Server shutting down"]), "{text}");
    for secret in ["PASSWORD", "PAYLOAD", "PROPERTY"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
