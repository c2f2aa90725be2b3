//! A readiness loop of one source, so that tests wait for events and never sleep.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Poll, Token};
use noctule_transport::{Host, ListenUrl, Listener, Peer, Read, Stream};

/// Longer than any machine takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The listeners of `url`, which must be good.
pub(crate) fn bind(url: &str) -> Vec<Listener> {
    let url: ListenUrl = url.parse().expect("a listen URL");
    Listener::bind(&url).expect("a free port on loopback")
}

/// Calls `step` after each readiness event of `source` until it yields something.
pub(crate) fn wait_for<S: Source, T>(
    source: &mut S,
    interest: Interest,
    mut step: impl FnMut(&mut S) -> Option<T>,
) -> T {
    let mut poll = Poll::new().expect("a poll");
    let mut events = Events::with_capacity(4);
    poll.registry().register(source, Token(0), interest).expect("a source");
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = step(source) {
            poll.registry().deregister(source).expect("a registered source");
            return found;
        }
        assert!(Instant::now() < deadline, "nothing happened for {PATIENCE:?}");
        poll.poll(&mut events, Some(PATIENCE)).expect("events");
    }
}

/// The address that a listener of the network has been given.
pub(crate) fn local_addr(listener: &Listener) -> SocketAddr {
    match (listener.url().host(), listener.url().port()) {
        (Some(Host::Address(address)), Some(port)) => SocketAddr::new(*address, port),
        other => panic!("{other:?} is not bound"),
    }
}

/// The next connection of `listener`.
pub(crate) fn accept(listener: &mut Listener) -> (Stream, Peer) {
    wait_for(listener, Interest::READABLE, |listener| listener.accept().expect("accept"))
}

/// Two ends of one connection: a blocking client and the accepted stream.
pub(crate) fn pair() -> (TcpStream, Stream) {
    let mut listeners = bind("tcp://127.0.0.1:0");
    let client = TcpStream::connect(local_addr(&listeners[0])).expect("a connection");
    let (stream, _) = accept(&mut listeners[0]);
    (client, stream)
}

/// Serves `stream` until `step` yields something, which it may after each read, with what has been read so far.
/// A hello is answered at once.
pub(crate) fn serve<T>(
    stream: &mut Stream,
    buffer_bytes: usize,
    mut step: impl FnMut(&mut Stream, &mut Vec<u8>, Option<io::Result<Read>>) -> Option<T>,
) -> T {
    let (mut buffer, mut received) = (vec![0; buffer_bytes], Vec::new());
    wait_for(stream, Interest::READABLE | Interest::WRITABLE, |stream| {
        stream.flush().ok();
        loop {
            let read = stream.read(&mut buffer);
            let (goes_on, ended) = match &read {
                Ok(Read::Bytes { length, .. }) => {
                    received.extend_from_slice(&buffer[..*length]);
                    (true, None)
                }
                Ok(Read::Hello) => {
                    let answered = stream.answer_hello();
                    (answered.is_ok(), answered.err().map(Err))
                }
                Ok(Read::WouldBlock) => (false, None),
                Ok(Read::Closed) | Err(_) => (false, Some(read)),
            };
            if let Some(found) = step(stream, &mut received, ended) {
                return Some(found);
            }
            if !goes_on {
                return None;
            }
        }
    })
}
