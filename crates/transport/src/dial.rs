//! Dialling out: a connection to somebody who listens.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Stream;
use crate::socket::Socket as Connected;

impl Stream {
    /// Begins a TCP connection to `remote`, with TCP_NODELAY set, and does not wait for it.
    ///
    /// The stream becomes writable once it is connected; a connection that failed says so at the first read or
    /// write. `source` is the address of this machine it leaves from. The kernel has about 28,000 ports for each
    /// of them, so who needs more connections to one listener takes several, 127.0.0.2 and so on for loopback.
    ///
    /// # Errors
    /// What the operating system says at once: `AddrNotAvailable` where the machine does not have the source
    /// address or no port of it is free, and a limit of open files.
    pub fn dial(remote: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&remote.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                return Err(error);
            }
            _ => {}
        }
        Ok(Self::new(Connected::Tcp(mio::net::TcpStream::from_std(TcpStream::from(socket)))))
    }
}
