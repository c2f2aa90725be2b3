//! `noctule serve --mosquitto` and `noctule import mosquitto`, beside the real mosquitto.

pub(crate) mod brokers;
mod cases;
pub(crate) mod client;
mod dynamic_security;
mod importing;
mod probes;
mod tls;
mod whole;
