//! The simulated broker, spoken to on the wire.

mod connect;
mod disconnect;
mod relay;
mod session;
mod smoke;
mod takeover;
mod will;
