//! A way to the server without MQTT on it.

use crate::support::within;
use noctule_client::{Client, ConnectError, ConnectionError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

#[tokio::test]
async fn nothing_is_said_on_it_but_what_its_user_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("mqtt://{}", listener.local_addr().expect("an address"));
    let mut way = Client::builder(&url).dial().await.expect("a way");
    let (mut server, _) = listener.accept().await.expect("it has come");
    way.write_all(b"hello").await.expect("it is open");
    way.shutdown().await.expect("it is open");
    let mut heard = Vec::new();
    within("all of it", server.read_to_end(&mut heard)).await.expect("it ends");
    assert_eq!(heard, b"hello");
    server.write_all(b"and back").await.expect("this side is open");
    drop(server);
    let mut heard = Vec::new();
    within("the answer", way.read_to_end(&mut heard)).await.expect("it ends");
    assert_eq!(heard, b"and back");
}

#[tokio::test]
async fn no_way_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("mqtt://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let failed = Client::builder(&url).dial().await.err();
    assert!(matches!(failed, Some(ConnectError::Connection(ConnectionError::Dial { .. }))), "{failed:?}");
}
