//! The simulated broker, spoken to on the wire.

mod bounds;
mod chaos;
mod connect;
mod disconnect;
mod malformed;
mod relay;
mod session;
mod smoke;
mod takeover;
mod will;
