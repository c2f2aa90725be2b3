//! The simulated broker, spoken to on the wire.

mod connect;
mod relay;
mod smoke;
