//! Sockets of this machine, on loopback and ephemeral ports.

mod certificates;
mod dialling;
mod listener;
mod open_files;
mod openssl;
mod stream;
mod support;
mod tls;
mod unix;
mod websocket;
