//! The other faces: blocking, request and response, typed payloads, proxies.

use crate::support::{in_memory, within};
use noctule_client::blocking::Wait as _;
use noctule_client::{Client, RequestError};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

#[test]
fn everything_can_be_waited_for_without_a_runtime() {
    let broker = in_memory();
    let client = Client::builder(&broker.url()).connect_blocking().expect("connected");
    let mut messages = client.subscribe("a/#").wait().expect("granted");
    for number in 0..3 {
        client.publish("a/b", number.to_string()).wait().expect("taken").wait().expect("acknowledged");
    }
    let came: Vec<_> =
        messages.iter().take(3).map(|message| message.text().expect("text").to_owned()).collect();
    assert_eq!(came, ["0", "1", "2"]);
    assert!(messages.next().wait_for(Duration::from_millis(20)).is_none());
    client.close().wait();
    assert!(messages.iter().next().is_none());
}

#[tokio::test]
async fn a_request_gets_its_answer_or_a_timeout() {
    let broker = in_memory();
    let client = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    let server = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    let mut questions = server.subscribe("square").await.expect("granted");
    tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let number: u32 = question.text().expect("text").parse().expect("a number");
            let reply = server.reply(&question, (number * number).to_string()).expect("it names a topic");
            reply.await.expect("taken");
        }
    });
    let requester = within("SUBACK", client.requester()).await.expect("granted");
    let asked = (2..12).map(|number| requester.request("square", number.to_string()).into_future());
    for (number, answer) in (2..12).zip(asked.collect::<Vec<_>>()) {
        let answer = within("the answer", answer).await.expect("answered");
        assert_eq!(answer.text(), Ok(&*(number * number).to_string()));
    }
    let nobody = requester.request("nobody", "?").timeout(Duration::from_millis(50));
    assert!(matches!(within("a timeout", nobody.into_future()).await, Err(RequestError::Timeout { .. })));
    within("the end", client.close()).await;
    let closed = within("an answer", requester.request("square", "2").into_future()).await;
    assert!(matches!(closed, Err(RequestError::Publish(_) | RequestError::Closed)), "{closed:?}");
}

#[cfg(feature = "json")]
#[tokio::test]
async fn json_goes_both_ways() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Reading {
        celsius: f64,
    }
    let broker = in_memory();
    let client = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    let mut messages = client.subscribe("t").await.expect("granted");
    client.publish("t", noctule_client::Json(Reading { celsius: 21.5 })).await.expect("taken");
    let message = within("the message", messages.next()).await.expect("open");
    assert_eq!(message.json::<Reading>().expect("a reading"), Reading { celsius: 21.5 });
    assert_eq!(message.content_type(), Some("application/json"));
}

#[cfg(feature = "json")]
#[tokio::test]
async fn a_typed_stream_goes_on_behind_what_it_cannot_read() {
    let broker = in_memory();
    let client = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    let readings = client.subscribe("t").manual_acks().await.expect("granted");
    let mut readings = readings.typed::<noctule_client::Json<Vec<u32>>>();
    client.publish("t", "no list").await.expect("taken");
    client.publish("t", noctule_client::Json([1, 2, 3])).await.expect("taken");
    let unreadable = within("a message", readings.next()).await.expect("open").expect_err("no JSON");
    assert!(unreadable.to_string().starts_with("a message on t cannot be read: "), "{unreadable}");
    assert!(unreadable.message.reject(noctule_client::ReasonCode::PayloadFormatInvalid));
    let reading = within("a message", readings.next()).await.expect("open").expect("a list");
    assert_eq!(reading.value.0, [1, 2, 3]);
    assert!(reading.message.ack());
    let mut texts = readings.into_inner().typed::<String>();
    client.publish("t", "text").await.expect("taken");
    assert_eq!(within("a message", texts.next()).await.expect("open").expect("text").value, "text");
}

/// A proxy that expects these bytes and answers with those, in turn, and then carries what comes.
pub(crate) async fn scripted_proxy(upstream: SocketAddr, talk: Vec<(Vec<u8>, Vec<u8>)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        for (expected, answer) in talk {
            let mut heard = vec![0; expected.len()];
            client.read_exact(&mut heard).await.expect("a request");
            assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(&expected));
            client.write_all(&answer).await.expect("a client that listens");
        }
        let mut server = TcpStream::connect(upstream).await.expect("the broker");
        let _ = copy_bidirectional(&mut client, &mut server).await;
    });
    address
}

#[tokio::test]
async fn http_connect_opens_a_way() {
    let broker = in_memory();
    let place = broker.address();
    let request =
        format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nProxy-Authorization: Basic dTpw\r\n\r\n");
    let answer = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n".to_vec();
    let proxy = scripted_proxy(broker.address(), vec![(request.into_bytes(), answer)]).await;
    let builder = Client::builder(&broker.url()).proxy(&format!("http://u:p@{proxy}"));
    let client = within("a connection", builder.connect()).await.expect("connected");
    within("the end", client.close()).await;
}

#[tokio::test]
async fn a_proxy_that_refuses_is_quoted() {
    let broker = in_memory();
    let answer = b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec();
    let proxy = scripted_proxy(broker.address(), vec![(b"CONNECT".to_vec(), answer)]).await;
    let builder = Client::builder(&broker.url()).proxy(&format!("http://{proxy}"));
    let refused = within("a refusal", builder.connect()).await.expect_err("forbidden");
    assert!(refused.to_string().contains("403 Forbidden"), "{refused}");
}

#[tokio::test]
async fn socks5_opens_a_way() {
    let broker = in_memory();
    let mut request = b"\x05\x01\x00\x03\x09127.0.0.1".to_vec();
    request.extend(broker.address().port().to_be_bytes());
    let talk = vec![
        (b"\x05\x01\x02".to_vec(), b"\x05\x02".to_vec()),
        (b"\x01\x01u\x01p".to_vec(), b"\x01\x00".to_vec()),
        (request, b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50".to_vec()),
    ];
    let proxy = scripted_proxy(broker.address(), talk).await;
    let builder = Client::builder(&broker.url()).proxy(&format!("socks5://u:p@{proxy}"));
    let client = within("a connection", builder.connect()).await.expect("connected");
    within("the end", client.close()).await;
}
