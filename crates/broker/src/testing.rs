//! A broker inside another program, for the tests of that program.
//!
//! ```
//! # fn main() -> Result<(), noctule_broker::Error> {
//! let broker = noctule_broker::testing::Broker::start()?;
//! println!("{}", broker.url()); // mqtt://127.0.0.1:…
//! # Ok(()) }
//! ```
//!
//! It is the broker as it is, with everything in memory: it writes no file, catches no signal, prints nothing, and
//! listens on a free port of this machine alone. Any number of them run beside each other. Dropped, one says goodbye to
//! its clients and has ended.
//!
//! The order of things at a drop: clients are told (0x8B in 5.0), wills are published, the port is free, every thread
//! has been joined. A client that does not read is waited for up to three seconds.

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::signals::Signals;
use crate::{Assembled, Error, Outside, load_access};
use noctule_session::Durability;
use noctule_transport::{Host, ListenUrl, raise_open_file_limit};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

/// A broker that ends when it is dropped.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    /// A byte written here stops it.
    stop: UnixStream,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Broker {
    /// Starts a broker with [`config`]. It listens when this returns.
    ///
    /// # Errors
    /// The operating system gives no port, no thread or no open file.
    pub fn start() -> Result<Self, Error> {
        Self::start_with(config())
    }

    /// Starts one with a configuration of its own: [`config`] with something changed. Its data directory is not used,
    /// and its durability is `memory` whatever it says.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn start_with(mut config: Config) -> Result<Self, Error> {
        config.limits.durability = Durability::Memory;
        let (signals, stop) = Signals::by_hand().map_err(Error::Poll)?;
        let (open_files, access) = (raise_open_file_limit(), load_access(&config)?);
        let outside = Outside { open_files, access, data_dir: DataDir::none(), signals };
        let broker = Assembled::new(config, None, outside)?;
        let address = address(&broker.listens_at);
        let thread = thread::Builder::new().name("noctule".to_owned()).spawn(move || broker.serve());
        Ok(Self { address, stop, thread: Some(thread.map_err(Error::Poll)?) })
    }

    /// Where clients reach it, as `noctule-client` and others take it.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address())
    }

    /// The same as an address, which another broker can listen on later: see [`config_at`].
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it, as dropping it does, and says how it has ended.
    ///
    /// # Errors
    /// What made it stop before.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // It fails where the broker has ended by itself.
        let _ = self.stop.write_all(&[0]);
        thread.join().unwrap_or_else(|_| Err(Error::Poll(std::io::Error::other("the broker panicked"))))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "the broker did not end in order");
        }
    }
}

/// What [`Broker::start`] begins with: a free port of 127.0.0.1, where nobody needs a password, everything in memory,
/// one thread, no `$SYS`.
pub fn config() -> Config {
    config_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// The same at an address: for a test in which a broker goes and another one comes in its place.
pub fn config_at(address: SocketAddr) -> Config {
    let mut config = Config {
        listen: vec![ListenUrl::tcp(Host::Address(address.ip()), address.port())],
        shards: 1,
        sys_interval: None,
        ..Config::default()
    };
    config.limits.durability = Durability::Memory;
    config
}

/// Where the first listener that has an address is reached from this machine.
fn address(listens_at: &[ListenUrl]) -> SocketAddr {
    let of = |url: &ListenUrl| {
        let ip = match url.host()? {
            Host::Address(ip) if !ip.is_unspecified() => *ip,
            _ => Ipv4Addr::LOCALHOST.into(),
        };
        Some(SocketAddr::new(ip, url.port()?))
    };
    // A broker on sockets in the file system alone has none, and port 0 is nobody's.
    listens_at.iter().find_map(of).unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into())
}
