//! The simulated broker, spoken to on the wire.

mod connect;
mod relay;
mod session;
mod smoke;
mod will;
