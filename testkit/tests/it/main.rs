//! The simulated broker, spoken to on the wire.

mod flow;
mod publish;
mod qos;
mod smoke;
