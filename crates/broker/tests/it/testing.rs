//! The broker inside another program.

use noctule_broker::testing::{Broker, config_at};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// CONNECT of 5.0 with a clean start and no client id.
const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0";

fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream.write_all(CONNECT).expect("it reads");
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("CONNACK");
    assert_eq!(head[0], 0x20);
    let mut rest = vec![0; usize::from(head[1])];
    stream.read_exact(&mut rest).expect("CONNACK");
    assert_eq!(rest[..2], [0, 0], "no session, success");
    stream
}

#[test]
fn it_serves_when_it_has_started_and_has_ended_when_it_is_dropped() {
    let broker = Broker::start().expect("a free port");
    let address = broker.address();
    assert_eq!(broker.url(), format!("mqtt://{address}"));
    assert!(address.ip().is_loopback());
    let mut stream = connect(address);
    drop(broker);
    let mut last = Vec::new();
    stream.read_to_end(&mut last).expect("a goodbye");
    assert_eq!((last[0], last[2]), (0xE0, 0x8B), "DISCONNECT, the server is shutting down");
    TcpListener::bind(address).expect("the port is free");
}

#[test]
fn several_run_beside_each_other_and_one_takes_the_place_of_another() {
    let (one, other) = (Broker::start().expect("a free port"), Broker::start().expect("a free port"));
    assert_ne!(one.address(), other.address());
    let _stream = connect(other.address());
    let address = one.address();
    one.stop().expect("in order");
    let next = Broker::start_with(config_at(address)).expect("the same port");
    assert_eq!(next.address(), address);
    connect(address);
    let taken = Broker::start_with(config_at(address));
    assert!(taken.is_err(), "one at a time");
}

#[test]
fn it_writes_nothing() {
    let config = noctule_broker::testing::config();
    let data_dir = config.data_dir.clone();
    let broker = Broker::start_with(config).expect("a free port");
    connect(broker.address());
    broker.stop().expect("in order");
    assert!(!Path::new(&data_dir).exists());
}
