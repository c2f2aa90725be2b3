//! The simulated broker, spoken to on the wire.

mod chaos;
mod connect;
mod relay;
mod session;
mod smoke;
mod will;
