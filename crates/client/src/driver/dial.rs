//! The way to the server: TCP or a unix socket, and what is spoken on top of it.

use crate::address::Address;
use crate::error::DialStep;
use crate::options::Options;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// An ordered, lossless stream of bytes [MQTT-4.2-1].
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A way to the server, whatever it is made of.
pub(crate) type Way = Box<dyn Stream>;

/// What did not work, and what was said about it.
pub(super) type Failed = (DialStep, io::Error);

/// Opens the way to the server.
pub(super) async fn dial(options: &Options, address: &Address) -> Result<Way, Failed> {
    match address {
        Address::Unix(path) => unix(path).await.map_err(at(DialStep::Connect)),
        Address::Network { host, port, websocket, .. } => {
            let way = secure(options, host, Box::new(network(options, host, *port).await?)).await;
            let way = way.map_err(at(DialStep::Tls))?;
            match websocket {
                Some(path) => {
                    upgrade(options, (host, *port, path), way).await.map_err(at(DialStep::WebSocket))
                }
                None => Ok(way),
            }
        }
    }
}

/// A stream to the server, through the proxy if there is one.
async fn network(options: &Options, host: &str, port: u16) -> Result<TcpStream, Failed> {
    match &options.proxy {
        Some(proxy) => {
            let way = tcp(options, &proxy.host, proxy.port).await?;
            proxy.open((host, port), way).await.map_err(at(DialStep::Proxy))
        }
        None => tcp(options, host, port).await,
    }
}

/// Tries every address that the name has; the error is that of the last.
async fn tcp(options: &Options, host: &str, port: u16) -> Result<TcpStream, Failed> {
    let mut last =
        (DialStep::Lookup, io::Error::new(io::ErrorKind::NotFound, "the name has no usable address"));
    for address in lookup_host((host, port)).await.map_err(at(DialStep::Lookup))? {
        let Some(from) = local_address(options, address).await? else { continue };
        match stream(from, address).await {
            Ok(stream) => {
                stream.set_nodelay(options.nodelay).map_err(at(DialStep::Connect))?;
                return Ok(stream);
            }
            Err(error) => last = (DialStep::Connect, error),
        }
    }
    Err(last)
}

/// The address to connect from: any, unless the user has chosen one. `None` if the one that was chosen is of another
/// family than the server's.
async fn local_address(options: &Options, server: SocketAddr) -> Result<Option<SocketAddr>, Failed> {
    let Some(bind) = &options.bind else {
        return Ok(Some(if server.is_ipv4() { ANY_V4 } else { ANY_V6 }));
    };
    let mut own = lookup_host((bind.as_str(), 0)).await.map_err(at(DialStep::Lookup))?;
    Ok(own.find(|own| own.is_ipv4() == server.is_ipv4()))
}

async fn stream(from: SocketAddr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if from != ANY_V4 && from != ANY_V6 {
        socket.bind(from)?;
    }
    socket.connect(server).await
}

fn at(step: DialStep) -> impl FnOnce(io::Error) -> Failed {
    move |source| (step, source)
}

const ANY_V4: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
const ANY_V6: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 0);

#[cfg(unix)]
async fn unix(path: &std::path::Path) -> io::Result<Way> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn unix(_path: &std::path::Path) -> io::Result<Way> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no unix sockets"))
}

#[cfg(feature = "tls")]
async fn secure(options: &Options, host: &str, way: Way) -> io::Result<Way> {
    match &options.tls {
        Some(tls) => Ok(Box::new(tls.connect(host, way).await?)),
        None => Ok(way),
    }
}

#[cfg(not(feature = "tls"))]
async fn secure(_options: &Options, _host: &str, way: Way) -> io::Result<Way> {
    // Addresses that need it are refused when they are read.
    Ok(way)
}

#[cfg(feature = "websocket")]
async fn upgrade(options: &Options, server: (&str, u16, &str), way: Way) -> io::Result<Way> {
    let is_secure = matches!(options.address, Address::Network { tls: true, .. });
    Ok(Box::new(super::websocket::upgrade(server, is_secure, &options.headers, way).await?))
}

#[cfg(not(feature = "websocket"))]
async fn upgrade(_options: &Options, _server: (&str, u16, &str), way: Way) -> io::Result<Way> {
    // Addresses that need it are refused when they are read.
    Ok(way)
}
