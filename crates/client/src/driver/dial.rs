//! The way to the server: TCP or a unix socket, and what is spoken on top of it.

use crate::address::Address;
use crate::options::Options;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

/// An ordered, lossless stream of bytes [MQTT-4.2-1].
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A way to the server, whatever it is made of.
pub(super) type Way = Box<dyn Stream>;

/// Opens the way to the server.
pub(super) async fn dial(options: &Options, address: &Address) -> io::Result<Way> {
    match address {
        Address::Unix(path) => unix(path).await,
        Address::Network { host, port, websocket, .. } => {
            let tcp = match &options.proxy {
                Some(proxy) => proxy.open((host, *port), tcp(&proxy.host, proxy.port).await?).await?,
                None => tcp(host, *port).await?,
            };
            let way = secure(options, host, Box::new(tcp)).await?;
            match websocket {
                Some(path) => upgrade(options, (host, *port, path), way).await,
                None => Ok(way),
            }
        }
    }
}

/// Tries every address that the name has; the error is that of the last.
async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

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
    Ok(Box::new(super::websocket::upgrade(server, is_secure, way).await?))
}

#[cfg(not(feature = "websocket"))]
async fn upgrade(_options: &Options, _server: (&str, u16, &str), way: Way) -> io::Result<Way> {
    // Addresses that need it are refused when they are read.
    Ok(way)
}
