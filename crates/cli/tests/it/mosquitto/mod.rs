//! `noctule serve --mosquitto` and `noctule import mosquitto`, beside the real mosquitto.

pub(crate) mod brokers;
mod cases;
mod client;
mod importing;
mod probes;
mod tls;
mod whole;
