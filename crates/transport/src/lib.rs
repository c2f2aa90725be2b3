//! Byte streams: where the broker listens and what it reads from and writes to.
//!
//! This crate moves bytes and knows no packet. A [`ListenUrl`] says where to listen, a [`Listener`] accepts
//! connections there, and a [`Stream`] is one connection: plain, or with TLS ([`ServerTls`], [`ClientTls`]),
//! WebSocket ([`WebSocketRules`]) or both as byte filters inside it. Nothing here blocks: what cannot go on now
//! says so ([`Read::WouldBlock`], [`Write::WouldBlock`]) and the readiness loop of the caller tells when to come
//! back. Readiness is edge-triggered, so a caller goes on until it is told that there is nothing more.

mod dial;
mod filters;
mod listen_url;
mod listener;
mod open_files;
mod socket;
mod stream;
mod tls;
mod websocket;

pub use listen_url::{Host, ListenUrl, ListenUrlError, Scheme};
pub use listener::{AcceptError, BindError, Listener, Peer};
pub use open_files::{OpenFileLimit, raise_open_file_limit};
pub use stream::{READ_BYTES_GOOD, Read, Stream, WRITE_BYTES_MAX, Write};
pub use tls::{
    Authorities, Certificate, CertificateError, ClientCertificates, ClientTls, PeerIdentity,
    PeerIdentityError, Reason, ServerIdentity, ServerTls, TlsError, TlsRole, TlsSetupError, TlsVersion,
    Validity, WhatFollows,
};
pub use websocket::{Origins, PacketLen, WebSocketError, WebSocketRules};
