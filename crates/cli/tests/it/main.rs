//! The `noctule` binary as a user runs it.

mod access;
mod below;
mod bench;
mod config;
mod durability;
mod hostile;
mod listeners;
mod mosquitto;
mod peer;
mod prove;
mod reload;
mod serve;
mod stop;
mod support;
mod tls_init;
mod tools;
mod usage;
