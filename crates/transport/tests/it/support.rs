//! A readiness loop of one source, so that tests wait for events and never sleep.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Poll, Token};
use noctule_transport::{ListenUrl, Listener, Stream};

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

/// The next connection of `listener`.
pub(crate) fn accept(listener: &mut Listener) -> (Stream, SocketAddr) {
    wait_for(listener, Interest::READABLE, |listener| listener.accept().expect("accept"))
}

/// Two ends of one connection: a blocking client and the accepted stream.
pub(crate) fn pair() -> (TcpStream, Stream) {
    let mut listeners = bind("tcp://127.0.0.1:0");
    let client = TcpStream::connect(listeners[0].local_addr()).expect("a connection");
    let (stream, _) = accept(&mut listeners[0]);
    (client, stream)
}
