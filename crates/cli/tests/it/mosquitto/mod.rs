//! `noctule serve --mosquitto` and `noctule import mosquitto`, beside the real mosquitto.

mod brokers;
mod cases;
pub(crate) mod client;
mod importing;
mod probes;
mod tls;
mod whole;
