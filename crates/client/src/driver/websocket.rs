//! WebSocket as a stream of bytes: binary messages outside, MQTT inside [MQTT-6.0.0-1], [MQTT-6.0.0-2].

use super::dial::Way;
use bytes::{Buf as _, Bytes};
use futures_util::{Sink as _, Stream as _};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// A header of HTTP.
pub(crate) type Header = (HeaderName, HeaderValue);

/// The header with this name and value, if they can be sent.
pub(crate) fn header(name: &str, value: &str) -> Option<Header> {
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
}

/// An open WebSocket.
pub(super) struct WebSocket {
    inner: WebSocketStream<Way>,
    /// What is left of the last message.
    rest: Bytes,
}

/// Asks the server for a WebSocket with the sub-protocol mqtt [MQTT-6.0.0-3].
pub(super) async fn upgrade(
    (host, port, path): (&str, u16, &str),
    is_secure: bool,
    headers: &[Header],
    way: Way,
) -> io::Result<WebSocket> {
    let scheme = if is_secure { "wss" } else { "ws" };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut request = format!("{scheme}://{host}:{port}{path}").into_client_request().map_err(broken)?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt"));
    for (name, value) in headers {
        request.headers_mut().append(name.clone(), value.clone());
    }
    let (inner, _) = client_async(request, way).await.map_err(broken)?;
    Ok(WebSocket { inner, rest: Bytes::new() })
}

impl AsyncRead for WebSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Text(_))) => return Poll::Ready(Err(not_binary())),
                // Pings are answered below; what closes shows as the end.
                Some(Ok(_)) => {}
                None | Some(Err(Error::ConnectionClosed)) => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let bytes = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..bytes]);
        self.rest.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = Pin::new(&mut self.inner);
        ready!(inner.as_mut().poll_ready(context)).map_err(broken)?;
        inner.start_send(Message::Binary(Bytes::copy_from_slice(bytes))).map_err(broken)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context).map_err(broken)
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

fn not_binary() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the server sent a text message over WebSocket")
}
