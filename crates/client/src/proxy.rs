//! The way through a proxy: HTTP CONNECT (RFC 9110 §9.3.6) and SOCKS5 (RFC 1928, RFC 1929).

use crate::address::{AddressError, decode, not_a_url};
use std::fmt;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

/// What is wrong with the address of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It has a scheme that no proxy is spoken to with.
    #[error("{scheme}:// is no proxy; http and socks5 are")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// User name or password are too long for the proxy's protocol.
    #[error("user name and password of a SOCKS5 proxy have 1 to 255 bytes each")]
    Credentials,
}

/// A proxy.
pub(crate) struct Proxy {
    kind: Kind,
    pub(crate) host: String,
    pub(crate) port: u16,
    credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

impl Proxy {
    /// Reads what a user has written.
    pub(crate) fn parse(text: &str) -> Result<Self, ProxyError> {
        let url = Url::parse(text).map_err(|error| not_a_url(text, &error.to_string()))?;
        let (kind, default_port) = match url.scheme() {
            "http" => (Kind::Http, 8080),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            scheme => return Err(ProxyError::Scheme { scheme: scheme.to_owned() }),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(AddressError::NoHost)?;
        let user_name = decode(url.username(), "user name")?;
        let password = decode(url.password().unwrap_or(""), "password")?;
        let credentials = (!user_name.is_empty()).then_some((user_name, password));
        if kind == Kind::Socks5 && credentials.as_ref().is_some_and(are_too_long) {
            return Err(ProxyError::Credentials);
        }
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { kind, host, port: url.port().unwrap_or(default_port), credentials })
    }

    /// Asks the proxy, to which there is a connection, for a way to the server.
    pub(crate) async fn open(&self, server: (&str, u16), mut proxy: TcpStream) -> io::Result<TcpStream> {
        match self.kind {
            Kind::Http => self.open_http(server, &mut proxy).await?,
            Kind::Socks5 => self.open_socks5(server, &mut proxy).await?,
        }
        Ok(proxy)
    }

    async fn open_http(&self, (host, port): (&str, u16), proxy: &mut TcpStream) -> io::Result<()> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let authorization = match &self.credentials {
            Some((user_name, password)) => {
                let credentials = base64(format!("{user_name}:{password}").as_bytes());
                format!("Proxy-Authorization: Basic {credentials}\r\n")
            }
            None => String::new(),
        };
        let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n");
        proxy.write_all(request.as_bytes()).await?;
        let head = read_head(proxy).await?;
        let status = head.split(' ').nth(1).unwrap_or("");
        match status.starts_with('2') {
            true => Ok(()),
            false => Err(refused(head.lines().next().unwrap_or("nothing"))),
        }
    }

    async fn open_socks5(&self, (host, port): (&str, u16), proxy: &mut TcpStream) -> io::Result<()> {
        let method = if self.credentials.is_some() { BY_PASSWORD } else { WITHOUT };
        proxy.write_all(&[SOCKS5, 1, method]).await?;
        if read_exactly::<2>(proxy).await? != [SOCKS5, method] {
            return Err(refused("it wants other credentials"));
        }
        if let Some((user_name, password)) = &self.credentials {
            let mut login = vec![LOGIN];
            push_short(user_name, &mut login)?;
            push_short(password, &mut login)?;
            proxy.write_all(&login).await?;
            if read_exactly::<2>(proxy).await?[1] != 0 {
                return Err(refused("user name or password are wrong"));
            }
        }
        let mut request = vec![SOCKS5, CONNECT, 0, BY_NAME];
        push_short(host, &mut request)?;
        request.extend(port.to_be_bytes());
        proxy.write_all(&request).await?;
        read_socks5_answer(proxy).await
    }
}

/// No password in messages.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}:{}", self.kind, self.host, self.port)
    }
}

/// The head of an HTTP response, and not a byte of what follows.
async fn read_head(proxy: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_BYTES_MAX {
            return Err(refused("its answer is no HTTP"));
        }
        head.push(proxy.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn read_socks5_answer(proxy: &mut TcpStream) -> io::Result<()> {
    let [version, reply, _, kind] = read_exactly(proxy).await?;
    if version != SOCKS5 || reply != 0 {
        return Err(refused(why(reply)));
    }
    // The address it uses, which is of no interest, and a port.
    let bytes = match kind {
        BY_IPV4 => 4,
        BY_IPV6 => 16,
        BY_NAME => usize::from(proxy.read_u8().await?),
        _ => return Err(refused("its answer is no SOCKS5")),
    };
    let mut rest = vec![0; bytes + 2];
    proxy.read_exact(&mut rest).await.map(drop)
}

async fn read_exactly<const N: usize>(proxy: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    proxy.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// A length in one byte, and the text.
fn push_short(text: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let length = u8::try_from(text.len()).map_err(|_| refused("a name has more than 255 bytes"))?;
    out.push(length);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn are_too_long((user_name, password): &(String, String)) -> bool {
    user_name.len() > 255 || password.len() > 255 || password.is_empty()
}

const fn why(reply: u8) -> &'static str {
    match reply {
        2 => "its rules do not allow it",
        3 => "the network cannot be reached",
        4 => "the host cannot be reached",
        5 => "the host refuses the connection",
        6 => "the way is too long",
        7 | 8 => "it does not know the request",
        _ => "it does not say why",
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("the proxy opens no way: {why}"))
}

/// Base64 as in RFC 4648.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 0x3F;
            text.push(if place <= group.len() { char::from(BASE64[digit as usize]) } else { '=' });
        }
    }
    text
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SOCKS5: u8 = 5;
const WITHOUT: u8 = 0;
const BY_PASSWORD: u8 = 2;
const LOGIN: u8 = 1;
const CONNECT: u8 = 1;
const BY_IPV4: u8 = 1;
const BY_NAME: u8 = 3;
const BY_IPV6: u8 = 4;
/// The longest head of a response that is read, in bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (bytes, text) in pairs {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn an_address_names_kind_host_port_and_credentials() {
        let proxy = Proxy::parse("socks5://u:p%40@h").expect("an address");
        assert_eq!((proxy.kind, &*proxy.host, proxy.port), (Kind::Socks5, "h", 1080));
        assert_eq!(proxy.credentials, Some(("u".into(), "p@".into())));
        let proxy = Proxy::parse("http://[::1]:3128").expect("an address");
        assert_eq!((proxy.kind, &*proxy.host, proxy.port), (Kind::Http, "::1", 3128));
        assert!(matches!(Proxy::parse("ftp://h"), Err(ProxyError::Scheme { .. })));
        assert!(matches!(Proxy::parse("socks5://u@h"), Err(ProxyError::Credentials)));
    }
}
