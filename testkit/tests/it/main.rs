//! The simulated broker, spoken to on the wire.

mod alias;
mod connect;
mod expiry;
mod flow;
mod permission;
mod publish;
mod qos;
mod relay;
mod retained;
mod session;
mod shared;
mod slow;
mod smoke;
mod subscribe;
mod will;
