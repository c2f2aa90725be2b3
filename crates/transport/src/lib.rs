//! Byte streams: where the broker listens and what it reads from and writes to.
//!
//! This crate moves bytes and knows no packet. A [`ListenUrl`] says where to listen, a [`Listener`] accepts
//! connections there, and a [`Stream`] is one connection. Nothing here blocks: what cannot go on now says so
//! ([`Read::WouldBlock`], [`Write::WouldBlock`]) and the readiness loop of the caller tells when to come
//! back. Readiness is edge-triggered, so a caller goes on until it is told that it would block.
//!
//! Today there is plain TCP. TLS, WebSocket and unix sockets will be byte filters behind the same [`Stream`].

mod dial;
mod listen_url;
mod listener;
mod open_files;
mod stream;

pub use listen_url::{Host, ListenUrl, ListenUrlError};
pub use listener::{AcceptError, BindError, Listener};
pub use open_files::{OpenFileLimit, raise_open_file_limit};
pub use stream::{Read, Stream, Write};
