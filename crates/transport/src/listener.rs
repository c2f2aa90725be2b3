//! Listening sockets.
//!
//! One [`ListenUrl`] may mean several sockets: `localhost` is 127.0.0.1 and ::1, `*` is 0.0.0.0 and [::], and a
//! name is all its addresses. They share one port, also when port 0 lets the kernel choose it. Each socket
//! serves one address family, so `[::]` never takes IPv4 along silently.
//!
//! A unix socket is a file that only its owner and group may connect to. It is removed when the listener is
//! dropped, and one that a crash left behind is replaced.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use thiserror::Error;

use crate::socket::Socket as Connected;
use crate::{Host, ListenUrl, Stream};

/// A socket that accepts connections in one place.
#[derive(Debug)]
pub struct Listener {
    socket: Listening,
    url: ListenUrl,
}

/// Who is at the other end of an accepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody at this address.
    Network(SocketAddr),
    /// A process on this machine, through a unix socket.
    Local,
}

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why a [`ListenUrl`] cannot be listened on. Each says what the operator can do.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody else has the port.
    #[error("{address} is already in use; stop the program that listens there or choose another port")]
    InUse {
        /// The address that is taken.
        address: SocketAddr,
    },
    /// This user may not open the port.
    #[error(
        "not allowed to listen on {address}; ports below 1024 need the capability CAP_NET_BIND_SERVICE, \
         choose a higher one or grant it"
    )]
    NotAllowed {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// This machine does not have the address.
    #[error("this machine has no address {0}; choose one that `ip address` shows", address.ip())]
    NoSuchAddress {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The file of a unix socket is something else.
    #[error("{} is there already and is no socket; remove it or choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Somebody listens on the unix socket.
    #[error("{} is already in use; stop the program that listens there or choose another path", path.display())]
    SocketInUse {
        /// The path.
        path: PathBuf,
    },
    /// The file of a unix socket cannot be made.
    #[error("cannot listen on {}: {source}", path.display())]
    SocketFile {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The host name has no address.
    #[error("cannot find an address for {host:?}: {source}; correct the name or write the address")]
    Resolve {
        /// The name that was asked for.
        host: String,
        /// What the name service said.
        source: io::Error,
    },
    /// Anything else the operating system has against it.
    #[error("cannot listen on {address}: {source}")]
    Io {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Why no connection could be accepted although one may be waiting.
#[derive(Debug, Error)]
pub enum AcceptError {
    /// The process or the machine is out of file descriptors or socket memory.
    ///
    /// The waiting connection stays in the backlog and readiness does not tell again, so the caller pauses
    /// and calls [`Listener::accept`] again after a while or when it has closed something.
    #[error("no connection can be accepted for now: {0}; raise the limit of open files or accept fewer")]
    Exhausted(#[source] io::Error),
    /// The listening socket itself is broken.
    #[error("the listening socket failed: {0}")]
    Broken(#[source] io::Error),
}

impl Listener {
    /// Opens every socket `url` stands for, at least one.
    ///
    /// An address family or address this machine lacks is left out as long as another one remains. A port
    /// that is taken is an error even if another address has it free, because half a listener is a surprise.
    /// Looking up a host name blocks; addresses and `localhost` do not.
    ///
    /// # Errors
    /// See [`BindError`]; nothing stays open then.
    pub fn bind(url: &ListenUrl) -> Result<Vec<Self>, BindError> {
        let (Some(host), Some(port)) = (url.host(), url.port()) else {
            return Ok(vec![bind_file(url, url.socket_path().unwrap_or(Path::new("")))?]);
        };
        let addresses = addresses(host)?;
        let tries = if port == 0 { FREE_PORT_TRIES } else { 1 };
        let mut outcome = bind_all(url, &addresses, port);
        for _ in 1..tries {
            // The kernel's free port of one family may be taken in the other: let it choose again.
            if !matches!(outcome, Err(BindError::InUse { .. })) {
                break;
            }
            outcome = bind_all(url, &addresses, port);
        }
        outcome
    }

    /// The one place it listens on, with the port the kernel chose for port 0.
    pub fn url(&self) -> &ListenUrl {
        &self.url
    }

    /// The next waiting connection, with TCP_NODELAY set; `None` when nobody waits.
    ///
    /// Readiness is edge-triggered: call until it answers `None`. A connection that ended while it waited is
    /// passed over.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub fn accept(&self) -> Result<Option<(Stream, Peer)>, AcceptError> {
        loop {
            match self.accept_once() {
                Ok(Some((socket, peer))) => return Ok(Some((Stream::new(socket), peer))),
                Ok(None) => {}
                Err(error) => match refusal(&error) {
                    Refusal::NobodyWaits => return Ok(None),
                    Refusal::PeerGone => {}
                    Refusal::Exhausted => return Err(AcceptError::Exhausted(error)),
                    Refusal::Broken => return Err(AcceptError::Broken(error)),
                },
            }
        }
    }

    /// `None`: the peer has gone in the meantime.
    fn accept_once(&self) -> io::Result<Option<(Connected, Peer)>> {
        match &self.socket {
            Listening::Unix(socket) => {
                let (socket, _) = socket.accept()?;
                Ok(Some((Connected::Unix(socket), Peer::Local)))
            }
            Listening::Tcp(socket) => {
                let (socket, peer) = socket.accept()?;
                // Batching is done above by flushing once per turn; Nagle would only hold back
                // acknowledgements. A socket that refuses the option has lost its peer.
                Ok(socket.set_nodelay(true).is_ok().then_some((Connected::Tcp(socket), Peer::Network(peer))))
            }
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Listening::Tcp(socket) => socket,
            Listening::Unix(socket) => socket,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = self.url.socket_path() {
            // Somebody may have removed it, which is as well.
            let _ = fs::remove_file(path);
        }
    }
}

impl Source for Listener {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}

impl Peer {
    /// The address, if it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Network(address) => Some(*address),
            Self::Local => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => address.fmt(f),
            Self::Local => f.write_str("unix"),
        }
    }
}

/// The addresses a host stands for, IPv4 first, each once.
fn addresses(host: &Host) -> Result<Vec<IpAddr>, BindError> {
    let name = match host {
        Host::Localhost => return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        Host::Any => return Ok(vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]),
        Host::Address(address) => return Ok(vec![*address]),
        Host::Name(name) => name,
    };
    let failed = |source| BindError::Resolve { host: name.clone(), source };
    let mut addresses: Vec<IpAddr> =
        (name.as_str(), 0).to_socket_addrs().map_err(failed)?.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(failed(io::ErrorKind::NotFound.into()));
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// One listener per address that this machine has, all on one port.
fn bind_all(url: &ListenUrl, addresses: &[IpAddr], mut port: u16) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut missing = None;
    for &address in addresses {
        let address = SocketAddr::new(address, port);
        match bind_one(address) {
            Ok((socket, bound)) => {
                port = bound.port();
                listeners.push(Listener { socket: Listening::Tcp(socket), url: url.at(bound) });
            }
            Err(error) => match explain(address, error) {
                absent @ BindError::NoSuchAddress { .. } => missing = missing.or(Some(absent)),
                other => return Err(other),
            },
        }
    }
    match missing {
        Some(missing) if listeners.is_empty() => Err(missing),
        _ => Ok(listeners),
    }
}

fn bind_one(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without it a restart has to wait until the last connections have left TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = TcpListener::from_std(socket.into());
    let local_addr = socket.local_addr()?;
    Ok((socket, local_addr))
}

/// A listener on a socket in the file system.
fn bind_file(url: &ListenUrl, path: &Path) -> Result<Listener, BindError> {
    let failed = |source| BindError::SocketFile { path: path.into(), source };
    remove_left_over(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    socket.bind(&SockAddr::unix(path).map_err(failed)?).map_err(failed)?;
    // Nobody can connect before it listens, so nobody slips in between.
    let opened = fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_FILE_MODE));
    opened.and_then(|()| socket.listen(BACKLOG)).map_err(|error| {
        let _ = fs::remove_file(path);
        failed(error)
    })?;
    let socket = UnixListener::from_std(OwnedFd::from(socket).into());
    Ok(Listener { socket: Listening::Unix(socket), url: url.clone() })
}

/// Removes the file of a socket that nobody listens on.
fn remove_left_over(path: &Path) -> Result<(), BindError> {
    let Ok(there) = fs::symlink_metadata(path) else { return Ok(()) };
    if !there.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.into() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| BindError::SocketFile { path: path.into(), source })
        }
        Err(source) => Err(BindError::SocketFile { path: path.into(), source }),
        Ok(_) => Err(BindError::SocketInUse { path: path.into() }),
    }
}

fn explain(address: SocketAddr, source: io::Error) -> BindError {
    match Errno::from_io_error(&source) {
        Some(Errno::ADDRINUSE) => BindError::InUse { address },
        Some(Errno::ACCESS) => BindError::NotAllowed { address },
        Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => {
            BindError::NoSuchAddress { address }
        }
        _ => BindError::Io { address, source },
    }
}

/// What a failed `accept` means for the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    NobodyWaits,
    PeerGone,
    Exhausted,
    Broken,
}

/// Linux also reports network errors of the waiting connection here; accept(2) asks to go on after them.
fn refusal(error: &io::Error) -> Refusal {
    match Errno::from_io_error(error) {
        Some(Errno::WOULDBLOCK) => Refusal::NobodyWaits,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Refusal::Exhausted,
        Some(
            Errno::INTR
            | Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::TIMEDOUT,
        ) => Refusal::PeerGone,
        _ => Refusal::Broken,
    }
}

/// Connections the kernel keeps waiting between two calls of accept; more are turned away by it. It caps this
/// at `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// Owner and group may connect to a unix socket.
const SOCKET_FILE_MODE: u32 = 0o660;

/// How often a free port that both families have is looked for.
const FREE_PORT_TRIES: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_accepts_are_told_apart() {
        for (errno, expected) in [
            (Errno::AGAIN, Refusal::NobodyWaits),
            (Errno::INTR, Refusal::PeerGone),
            (Errno::CONNABORTED, Refusal::PeerGone),
            (Errno::HOSTUNREACH, Refusal::PeerGone),
            (Errno::MFILE, Refusal::Exhausted),
            (Errno::NFILE, Refusal::Exhausted),
            (Errno::NOMEM, Refusal::Exhausted),
            (Errno::BADF, Refusal::Broken),
            (Errno::INVAL, Refusal::Broken),
        ] {
            assert_eq!(refusal(&errno.into()), expected, "{errno:?}");
        }
        assert_eq!(refusal(&io::Error::other("no number")), Refusal::Broken);
    }

    #[test]
    fn a_missing_family_is_left_out_while_another_remains() {
        // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
        let absent: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
        let loopback: IpAddr = Ipv4Addr::LOCALHOST.into();
        let url: ListenUrl = "tcp://localhost:0".parse().unwrap();
        let listeners = bind_all(&url, &[absent, loopback], 0).expect("loopback is there");
        assert_eq!(listeners.len(), 1);
        assert_eq!(listeners[0].url().host(), Some(&Host::Address(loopback)));
        assert!(matches!(bind_all(&url, &[absent], 0), Err(BindError::NoSuchAddress { .. })));
    }

    #[test]
    fn errors_name_the_address_and_the_way_out() {
        let address: SocketAddr = "[::1]:80".parse().unwrap();
        for (errno, text) in [
            (
                Errno::ADDRINUSE,
                "[::1]:80 is already in use; stop the program that listens there or choose another port",
            ),
            (
                Errno::ACCESS,
                "not allowed to listen on [::1]:80; ports below 1024 need the capability CAP_NET_BIND_SERVICE, \
                 choose a higher one or grant it",
            ),
            (Errno::ADDRNOTAVAIL, "this machine has no address ::1; choose one that `ip address` shows"),
            (Errno::AFNOSUPPORT, "this machine has no address ::1; choose one that `ip address` shows"),
        ] {
            assert_eq!(explain(address, errno.into()).to_string(), text);
        }
        let other = explain(address, Errno::MFILE.into()).to_string();
        assert!(other.starts_with("cannot listen on [::1]:80: "), "{other}");
    }
}
