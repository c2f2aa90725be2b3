//! Reading, writing and ending.

use std::io::{Read as _, Write as _};
use std::thread;

use mio::Interest;
use noctule_transport::{Read, Stream, Write};

use crate::support::{accept, bind, local_addr, pair, wait_for};

fn read(stream: &mut Stream, buffer: &mut [u8]) -> Read {
    wait_for(stream, Interest::READABLE, |stream| match stream.read(buffer).expect("a working stream") {
        Read::WouldBlock => None,
        other => Some(other),
    })
}

#[test]
fn bytes_pass_both_ways() {
    let (mut client, mut stream) = pair();
    let mut buffer = [0; 16];
    assert_eq!(stream.read(&mut buffer).unwrap(), Read::WouldBlock);

    client.write_all(b"call").unwrap();
    assert_eq!(read(&mut stream, &mut buffer), Read::Bytes { length: 4, more: buffer.len() == 4 });
    assert_eq!(&buffer[..4], b"call");

    assert_eq!(stream.write(b"echo").unwrap(), Write::Bytes(4));
    client.read_exact(&mut buffer[..4]).unwrap();
    assert_eq!(&buffer[..4], b"echo");
}

#[test]
fn an_empty_buffer_is_not_the_end() {
    let (mut client, mut stream) = pair();
    client.write_all(b"x").unwrap();
    assert_eq!(read(&mut stream, &mut []), Read::Bytes { length: 0, more: true });
    assert_eq!(read(&mut stream, &mut [0; 1]), Read::Bytes { length: 1, more: true });
}

#[test]
fn the_peers_end_is_seen() {
    let (client, mut stream) = pair();
    drop(client);
    assert_eq!(read(&mut stream, &mut [0; 1]), Read::Closed);
}

#[test]
fn shutdown_delivers_what_was_written_and_reading_goes_on() {
    let (mut client, mut stream) = pair();
    assert_eq!(stream.write(b"bye").unwrap(), Write::Bytes(3));
    stream.shutdown().unwrap();

    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"bye");

    client.write_all(b"late").unwrap();
    let mut buffer = [0; 4];
    assert_eq!(read(&mut stream, &mut buffer), Read::Bytes { length: 4, more: buffer.len() == 4 });
    assert_eq!(&buffer, b"late");
}

#[test]
fn a_full_socket_would_block_and_goes_on_later() {
    const TOTAL: usize = 32 << 20;
    let (mut client, mut stream) = pair();
    let chunk = vec![7; 1 << 20];
    let mut written = 0;
    while let Write::Bytes(bytes) = stream.write(&chunk).expect("a working stream") {
        written += bytes;
        assert!(written < TOTAL, "the kernel took {written} bytes that nobody read");
    }

    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        client.read_to_end(&mut received).expect("the rest");
        received.len()
    });
    while written < TOTAL {
        let rest = &chunk[..chunk.len().min(TOTAL - written)];
        written += wait_for(&mut stream, Interest::WRITABLE, |stream| {
            match stream.write(rest).expect("a working stream") {
                Write::Bytes(bytes) => Some(bytes),
                Write::WouldBlock => None,
            }
        });
    }
    drop(stream);
    assert_eq!(reader.join().expect("the reader"), TOTAL);
}

#[test]
fn a_dialled_stream_leaves_from_the_chosen_address() {
    let mut listeners = bind("tcp://127.0.0.1:0");
    let remote = local_addr(&listeners[0]);
    for source in ["127.0.0.2", "127.0.0.1"] {
        let source = source.parse().expect("an address");
        let mut dialled = Stream::dial(remote, Some(source)).expect("a port is free");
        let (mut accepted, peer) = accept(&mut listeners[0]);
        assert_eq!(peer.address().expect("an address").ip(), source);
        wait_for(&mut dialled, Interest::WRITABLE, |stream| match stream.write(b"call") {
            Ok(Write::Bytes(4)) => Some(()),
            _ => None,
        });
        let mut buffer = [0; 4];
        assert_eq!(read(&mut accepted, &mut buffer), Read::Bytes { length: 4, more: true });
    }
}

#[test]
fn a_dialled_stream_that_nobody_answers_says_so_when_it_is_used() {
    let listeners = bind("tcp://127.0.0.1:0");
    let remote = local_addr(&listeners[0]);
    drop(listeners);
    let mut dialled = match Stream::dial(remote, None) {
        Ok(stream) => stream,
        // Loopback may answer before the call returns.
        Err(error) => return assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
    };
    let error = wait_for(&mut dialled, Interest::WRITABLE, |stream| stream.write(b"call").err());
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn an_address_this_machine_lacks_cannot_be_dialled_from() {
    let listeners = bind("tcp://127.0.0.1:0");
    let foreign = "203.0.113.7".parse().expect("an address");
    let error = Stream::dial(local_addr(&listeners[0]), Some(foreign)).expect_err("not of this machine");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable);
}
