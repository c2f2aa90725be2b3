//! A network that cuts connections at any byte and sometimes only falls silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How a network treats its connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    /// A connection carries at most so many bytes, both ways together.
    pub(crate) bytes_max: u64,
    /// One in so many connections falls silent instead of being cut; 0: none.
    pub(crate) silent_every: u64,
}

/// A proxy in front of a broker.
pub(crate) struct Proxy {
    address: SocketAddr,
    calm: Arc<AtomicBool>,
    connections: Arc<AtomicU64>,
}

impl Proxy {
    pub(crate) async fn start(upstream: SocketAddr, trouble: Trouble, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (calm, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let proxy = Self { address, calm: Arc::clone(&calm), connections: Arc::clone(&connections) };
        tokio::spawn(async move {
            let mut random = seed | 1;
            while let Ok((client, _)) = listener.accept().await {
                random = next(random);
                let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
                let is_calm = calm.load(Ordering::Relaxed);
                let bytes = if is_calm { u64::MAX } else { random % trouble.bytes_max };
                let is_silent = trouble.silent_every > 0 && number.is_multiple_of(trouble.silent_every);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(upstream).await {
                        carry(client, server, bytes, is_silent).await;
                    }
                });
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// From now on connections are carried faithfully.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, mut bytes_left: u64, is_silent: bool) {
    let (mut up, mut down) = ([0; 512], [0; 512]);
    loop {
        let (from_client, read) = tokio::select! {
            read = client.read(&mut up) => (true, read),
            read = server.read(&mut down) => (false, read),
        };
        let Ok(read @ 1..) = read else { return };
        let bytes = usize::try_from(bytes_left.min(read as u64)).expect("not more than was read");
        let written = match from_client {
            true => server.write_all(&up[..bytes]).await,
            false => client.write_all(&down[..bytes]).await,
        };
        bytes_left -= bytes as u64;
        if written.is_err() {
            return;
        }
        if bytes_left == 0 {
            if is_silent {
                // Both ends stay open and nothing passes, until one of them gives up.
                drop(server);
                while let Ok(1..) = client.read(&mut up).await {}
            }
            return;
        }
    }
}

/// The next of a row of numbers that look random.
pub(crate) fn next(random: u64) -> u64 {
    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407).rotate_left(17)
}
