//! The `noctule` binary as a user runs it.

mod access;
mod below;
mod bench;
mod certificates;
mod config;
mod durability;
mod forged_lines;
mod hostile;
mod listeners;
mod mosquitto;
mod peer;
mod prove;
mod reload;
mod serve;
mod set_ups;
mod stop;
mod support;
mod tls_init;
mod tools;
mod usage;
