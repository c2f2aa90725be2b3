//! Servers that are a few lines of test: what no broker here does, as a client sees it.

use crate::support::peer::{Peer, listen};
use crate::support::{hasty, in_memory, within};
use noctule_client::{
    AuthenticationError, AuthenticationExchange, Authenticator, Builder, Client, ConnectError,
    ConnectionError, Properties, Property, ReasonCode, ReauthenticateError, ServerReferences, State,
};
use noctule_codec::{Auth, ConnAck, Disconnect, Packet};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// A server that sends every client to another one, with CONNACK or with DISCONNECT.
async fn send_away(listener: &TcpListener, reason_code: ReasonCode, other: SocketAddr, is_let_in: bool) {
    let mut peer = Peer::accept(listener).await;
    peer.hear(|packet| assert!(matches!(packet, Packet::Connect(_)))).await;
    let other = other.to_string();
    let properties = Properties::new().with(Property::ServerReference(&other));
    if is_let_in {
        peer.let_in(Properties::EMPTY).await;
        peer.say(&Packet::Disconnect(Disconnect { reason_code, properties })).await;
    } else {
        let session_present = false;
        peer.say(&Packet::ConnAck(ConnAck { session_present, reason_code, properties })).await;
    }
}

fn builder(address: SocketAddr) -> Builder {
    hasty(&format!("mqtt://{address}"), "guest").credentials("operator", "secret")
}

/// User name and password that the next client says.
async fn credentials(listener: &TcpListener) -> (Peer, Option<(String, Vec<u8>)>) {
    let mut peer = Peer::accept(listener).await;
    let said = peer.hear(|packet| match packet {
        Packet::Connect(connect) => Some((connect.user_name?.to_owned(), connect.password?.to_vec())),
        _ => panic!("{packet:?}"),
    });
    let said = said.await;
    (peer, said)
}

#[tokio::test]
async fn a_server_that_names_another_is_quoted_and_not_followed() {
    let ((listener, address), other) = (listen().await, in_memory());
    let connecting = tokio::spawn(builder(address).connect());
    send_away(&listener, ReasonCode::ServerMoved, other.address(), false).await;
    let refused = within("a refusal", connecting).await.expect("no panic").expect_err("sent away");
    let ConnectError::Connection(ConnectionError::UseAnotherServer { is_for_good, server_reference, .. }) =
        refused
    else {
        panic!("{refused}");
    };
    assert_eq!((is_for_good, server_reference), (true, Some(other.address().to_string())));
}

#[tokio::test]
async fn it_is_followed_where_that_is_allowed_at_the_first_connection_and_later() {
    for (reason_code, is_let_in) in [
        (ReasonCode::ServerMoved, false),
        (ReasonCode::UseAnotherServer, true),
        (ReasonCode::ServerMoved, true),
    ] {
        let ((listener, address), other) = (listen().await, listen().await);
        let within_hosts = ServerReferences::Within(vec!["127.0.0.1".into()]);
        let connecting = tokio::spawn(builder(address).server_references(within_hosts).connect());
        send_away(&listener, reason_code, other.1, is_let_in).await;
        let (mut peer, said) = credentials(&other.0).await;
        assert_eq!(said, Some(("operator".into(), b"secret".to_vec())), "the list names this host");
        peer.let_in(Properties::EMPTY).await;
        let client =
            within("a connection", connecting).await.expect("no panic").expect("let in by the other");
        drop(peer);
        // For good it stays there; for a while it comes home.
        let next = if reason_code == ReasonCode::ServerMoved { &other.0 } else { &listener };
        credentials(next).await;
        client.close_within(std::time::Duration::ZERO).await;
    }
}

#[tokio::test]
async fn a_stranger_is_told_no_credentials() {
    let ((listener, address), other) = (listen().await, listen().await);
    let strangers = builder(address).server_references(ServerReferences::WithoutCredentials);
    let strangers = strangers.authenticator(Riddle).connect_in_background().expect("valid");
    send_away(&listener, ReasonCode::UseAnotherServer, other.1, false).await;
    let mut peer = Peer::accept(&other.0).await;
    peer.hear(|packet| {
        let Packet::Connect(connect) = packet else { panic!("{packet:?}") };
        assert_eq!((connect.user_name, connect.password), (None, None));
        assert_eq!(connect.properties.authentication_method(), None);
    })
    .await;
    drop(peer);
    let (_, said) = credentials(&listener).await;
    assert!(said.is_some(), "at home it says them again");
    drop(strangers);
}

/// Asks for a number and wants one more.
struct Riddle;

struct Solving;

impl Authenticator for Riddle {
    fn method(&self) -> &str {
        "RIDDLE"
    }

    fn begin(&self) -> Box<dyn AuthenticationExchange> {
        Box::new(Solving)
    }
}

impl AuthenticationExchange for Solving {
    fn first(&mut self) -> Result<Option<Vec<u8>>, AuthenticationError> {
        Ok(Some(b"ask me".to_vec()))
    }

    fn next(&mut self, data: &[u8]) -> Result<Option<Vec<u8>>, AuthenticationError> {
        let number: u32 = std::str::from_utf8(data)?.parse()?;
        Ok(Some((number + 1).to_string().into_bytes()))
    }

    fn finish(&mut self, data: Option<&[u8]>) -> Result<(), AuthenticationError> {
        match data {
            Some(b"well done") => Ok(()),
            _ => Err("the server does not know what to say".into()),
        }
    }
}

fn said(data: &str) -> Properties<'_> {
    Properties::new()
        .with(Property::AuthenticationMethod("RIDDLE"))
        .with(Property::AuthenticationData(data.as_bytes()))
}

/// A step of the server's, and the client's answer to it.
async fn ask(peer: &mut Peer, data: &str) -> Option<Vec<u8>> {
    let (reason_code, properties) = (ReasonCode::ContinueAuthentication, said(data));
    peer.say(&Packet::Auth(Auth { reason_code, properties })).await;
    peer.hear(|packet| {
        let Packet::Auth(auth) = packet else { panic!("{packet:?}") };
        assert_eq!(auth.reason_code, ReasonCode::ContinueAuthentication, "[MQTT-4.12.0-3]");
        assert_eq!(auth.properties.authentication_method(), Some("RIDDLE"), "[MQTT-4.12.0-5]");
        auth.properties.authentication_data().map(<[u8]>::to_vec)
    })
    .await
}

/// A client in the middle of its first authentication.
async fn riddled() -> (Peer, tokio::task::JoinHandle<Result<Client, ConnectError>>) {
    let (listener, address) = listen().await;
    let connecting = tokio::spawn(builder(address).authenticator(Riddle).connect());
    let mut peer = Peer::accept(&listener).await;
    peer.hear(|packet| {
        let Packet::Connect(connect) = packet else { panic!("{packet:?}") };
        assert_eq!(connect.properties.authentication_method(), Some("RIDDLE"));
        assert_eq!(connect.properties.authentication_data(), Some(&b"ask me"[..]));
    })
    .await;
    (peer, connecting)
}

#[tokio::test]
async fn mqtt_4_12_0_3_and_4_12_1_1_a_client_authenticates_in_steps_and_again() {
    let (mut peer, connecting) = riddled().await;
    assert_eq!(ask(&mut peer, "41").await.as_deref(), Some(&b"42"[..]));
    assert_eq!(ask(&mut peer, "7").await.as_deref(), Some(&b"8"[..]));
    peer.let_in(said("well done")).await;
    let client = within("a connection", connecting).await.expect("no panic").expect("let in");

    let again = tokio::spawn({
        let client = client.clone();
        async move { client.reauthenticate().await }
    });
    peer.hear(|packet| {
        let Packet::Auth(auth) = packet else { panic!("{packet:?}") };
        assert_eq!(auth.reason_code, ReasonCode::ReAuthenticate);
        assert_eq!(auth.properties.authentication_data(), Some(&b"ask me"[..]));
    })
    .await;
    assert!(matches!(client.reauthenticate().await, Err(ReauthenticateError::UnderWay)));
    assert_eq!(ask(&mut peer, "1").await.as_deref(), Some(&b"2"[..]));
    peer.say(&Packet::Auth(Auth { reason_code: ReasonCode::Success, properties: said("well done") })).await;
    within("the end", again).await.expect("no panic").expect("the server is content");
    assert!(client.is_connected());
}

#[tokio::test]
async fn mqtt5_4_12_1_2_a_re_authentication_that_fails_ends_the_connection() {
    for (reason_code, data) in
        [(ReasonCode::ContinueAuthentication, "no number"), (ReasonCode::Success, "come in")]
    {
        let (mut peer, connecting) = riddled().await;
        peer.let_in(said("well done")).await;
        let client = within("a connection", connecting).await.expect("no panic").expect("let in");
        let again = tokio::spawn(async move { client.reauthenticate().await });
        peer.hear(|packet| assert!(matches!(packet, Packet::Auth(_)), "{packet:?}")).await;
        peer.say(&Packet::Auth(Auth { reason_code, properties: said(data) })).await;
        assert!(peer.sees_its_client_leave().await);
        within("the end", again).await.expect("no panic").expect_err("it has failed");
    }
}

#[tokio::test]
async fn a_server_that_proves_nothing_is_left_without_a_word() {
    let (mut peer, connecting) = riddled().await;
    peer.let_in(said("come in")).await;
    let refused = within("a refusal", connecting).await.expect("no panic").expect_err("not proven");
    assert!(matches!(refused, ConnectError::Connection(ConnectionError::Authentication(_))), "{refused}");
    assert!(peer.sees_its_client_leave().await);

    let (mut peer, connecting) = riddled().await;
    let (reason_code, properties) = (ReasonCode::ContinueAuthentication, said("no number"));
    peer.say(&Packet::Auth(Auth { reason_code, properties })).await;
    let refused = within("a refusal", connecting).await.expect("no panic").expect_err("no answer");
    assert!(matches!(refused, ConnectError::Connection(ConnectionError::Authentication(_))), "{refused}");
    assert!(peer.sees_its_client_leave().await);
}

#[tokio::test]
async fn without_a_method_there_is_nothing_to_authenticate_by() {
    let broker = in_memory();
    let client = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    assert!(matches!(client.reauthenticate().await, Err(ReauthenticateError::NoMethod)));
    within("the end", client.close()).await;
    assert!(matches!(client.reauthenticate().await, Err(ReauthenticateError::NotConnected)));
    let unknown = Client::builder(&broker.url()).authenticator(Riddle).connect();
    let refused = within("a refusal", unknown).await.expect_err("noctule has no such method");
    let ConnectError::Connection(ConnectionError::Refused { reason_code, .. }) = refused else {
        panic!("{refused}");
    };
    assert_eq!(reason_code, ReasonCode::BadAuthenticationMethod);
    assert!(matches!(client.state().get(), State::Closed { .. }));
}
