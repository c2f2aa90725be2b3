//! Binding and accepting.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

use noctule_transport::{BindError, ListenUrl, Listener};

use crate::support::{accept, bind, local_addr};

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[test]
fn localhost_is_both_families_on_one_port() {
    let listeners = bind("tcp://localhost:0");
    let addresses: Vec<IpAddr> = listeners.iter().map(|listener| local_addr(listener).ip()).collect();
    let mut expected: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into()];
    if has_ipv6() {
        expected.push(Ipv6Addr::LOCALHOST.into());
    }
    assert_eq!(addresses, expected);

    let port = local_addr(&listeners[0]).port();
    assert_ne!(port, 0);
    for mut listener in listeners {
        assert_eq!(local_addr(&listener).port(), port);
        let client = TcpStream::connect(local_addr(&listener)).expect("a connection");
        let (stream, peer) = accept(&mut listener);
        assert_eq!(peer.address().expect("an address"), client.local_addr().expect("a bound client"));
        assert_eq!(stream.peer_addr().expect("a connected stream"), peer.address().expect("an address"));
    }
}

/// Bound to all addresses for a moment, with nothing behind it.
#[test]
fn a_star_is_both_families_on_one_port() {
    let listeners = bind("tcp://*:0");
    let addresses: Vec<IpAddr> = listeners.iter().map(|listener| local_addr(listener).ip()).collect();
    let mut expected: Vec<IpAddr> = vec![Ipv4Addr::UNSPECIFIED.into()];
    if has_ipv6() {
        expected.push(Ipv6Addr::UNSPECIFIED.into());
    }
    assert_eq!(addresses, expected);
    let port = local_addr(&listeners[0]).port();
    assert!(listeners.iter().all(|listener| local_addr(listener).port() == port));
}

#[test]
fn nobody_waiting_is_no_error() {
    let listeners = bind("tcp://127.0.0.1:0");
    assert!(listeners[0].accept().expect("a working listener").is_none());
}

#[test]
fn a_taken_port_is_named() {
    let first = bind("tcp://127.0.0.1:0");
    let address = local_addr(&first[0]);
    let url: ListenUrl = format!("tcp://{address}").parse().expect("a listen URL");
    let error = Listener::bind(&url).expect_err("the port is taken");
    assert!(matches!(error, BindError::InUse { address: taken } if taken == address));
}

#[test]
fn localhost_is_refused_when_one_family_is_taken() {
    if !has_ipv6() {
        return;
    }
    let first = bind("tcp://[::1]:0");
    let port = local_addr(&first[0]).port();
    let url: ListenUrl = format!("tcp://localhost:{port}").parse().expect("a listen URL");
    let error = Listener::bind(&url).expect_err("the IPv6 port is taken");
    assert!(matches!(error, BindError::InUse { address } if address.port() == port));
    // Nothing of the failed listener stays open.
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
fn a_port_is_free_again_after_its_connections_ended() {
    let mut listeners = bind("tcp://127.0.0.1:0");
    let address = local_addr(&listeners[0]);
    let client = TcpStream::connect(address).expect("a connection");
    // The accepting side closes first and is the one that goes through TIME_WAIT.
    drop(accept(&mut listeners[0]));
    drop(client);
    drop(listeners);
    bind(&format!("tcp://{address}"));
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let url: ListenUrl = "tcp://192.0.2.1:0".parse().expect("a listen URL");
    let error = Listener::bind(&url).expect_err("nobody has this address");
    assert!(matches!(error, BindError::NoSuchAddress { .. }), "{error}");
}

#[test]
fn an_unknown_name_is_refused_with_the_name() {
    // `.invalid` is never in a name service (RFC 2606).
    let url: ListenUrl = "tcp://broker.invalid:0".parse().expect("a listen URL");
    let error = Listener::bind(&url).expect_err("the name does not exist");
    assert!(matches!(&error, BindError::Resolve { host, .. } if host == "broker.invalid"), "{error}");
}
