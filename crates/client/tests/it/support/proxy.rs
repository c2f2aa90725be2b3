//! A network that is late, cuts connections at any byte, and sometimes only falls silent, both ways or one way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of one direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Every byte arrives.
    Carried,
    /// So many bytes arrive, then both ends see the connection end.
    Cut { after: u64 },
    /// So many bytes arrive, then nothing does, not even that the sender is gone. The other direction goes on.
    Silent { after: u64 },
}

/// What becomes of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// From the client to the server.
    pub(crate) up: Fate,
    /// From the server to the client.
    pub(crate) down: Fate,
    /// How long each piece is on its way.
    pub(crate) latency: Duration,
}

/// A proxy in front of a broker.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_calm: AtomicBool,
    connections: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
}

impl Weather {
    pub(crate) const CALM: Self = Self { up: Fate::Carried, down: Fate::Carried, latency: Duration::ZERO };

    /// A connection of a stormy network: it may be cut or fall silent within so many bytes in either direction.
    pub(crate) fn stormy(bytes_max: u64, random: u64) -> Self {
        let after = random / 64 % bytes_max;
        let silent = Fate::Silent { after };
        let (up, down) = match random % 16 {
            0 => (silent, silent),
            1 => (silent, Fate::Carried),
            2 => (Fate::Carried, silent),
            3..=8 => (Fate::Cut { after }, Fate::Carried),
            _ => (Fate::Carried, Fate::Cut { after }),
        };
        let latency = Duration::from_millis(if random.is_multiple_of(3) { random / 64 % 4 } else { 0 });
        Self { up, down, latency }
    }
}

impl Proxy {
    /// Starts one. `weather` says what becomes of each connection, counted from one.
    pub(crate) async fn start(
        upstream: SocketAddr,
        weather: impl Fn(u64) -> Weather + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let proxy = Self { address, state: Arc::clone(&state) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = state.connections.fetch_add(1, Ordering::Relaxed) + 1;
                let is_calm = state.is_calm.load(Ordering::Relaxed);
                let weather = if is_calm { Weather::CALM } else { weather(number) };
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(upstream).await {
                        carry(client, server, weather, &state).await;
                    }
                });
            }
        });
        proxy
    }

    /// One whose every connection has weather of its own.
    pub(crate) async fn stormy(upstream: SocketAddr, bytes_max: u64, seed: u64) -> Self {
        Self::start(upstream, move |number| Weather::stormy(bytes_max, random(seed, number))).await
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// From now on connections are carried faithfully.
    pub(crate) fn calm_down(&self) {
        self.state.is_calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Bytes that arrived, up and down, all connections together.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.state.bytes_up.load(Ordering::Relaxed), self.state.bytes_down.load(Ordering::Relaxed))
    }
}

/// A number that looks random, the same in every run.
pub(crate) fn random(seed: u64, number: u64) -> u64 {
    let mixed = (seed ^ number.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ mixed >> 32
}

/// Ends, for both, as soon as one direction has ended.
async fn carry(client: TcpStream, server: TcpStream, weather: Weather, state: &State) {
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("a TCP stream");
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, weather.up, weather.latency, &state.bytes_up) => {}
        () = pump(from_server, to_client, weather.down, weather.latency, &state.bytes_down) => {}
    }
}

/// One direction of a connection.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    fate: Fate,
    latency: Duration,
    arrived: &AtomicU64,
) {
    let (mut left, is_silent) = match fate {
        Fate::Carried => (u64::MAX, false),
        Fate::Cut { after } => (after, false),
        Fate::Silent { after } => (after, true),
    };
    let mut buffer = [0; 512];
    while left > 0 {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let bytes = usize::try_from(left.min(read as u64)).expect("not more than was read");
        left -= bytes as u64;
        // Whoever has the bytes may ask at once how many came.
        arrived.fetch_add(bytes as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
    if is_silent {
        while let Ok(1..) = from.read(&mut buffer).await {}
        std::future::pending::<()>().await;
    }
}
