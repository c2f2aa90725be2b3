//! The simulated broker, spoken to on the wire.

mod alias;
mod expiry;
mod flow;
mod permission;
mod publish;
mod qos;
mod retained;
mod shared;
mod slow;
mod smoke;
mod subscribe;
