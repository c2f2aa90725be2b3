//! Sockets of this machine, on loopback and ephemeral ports.

mod listener;
mod open_files;
mod stream;
mod support;
