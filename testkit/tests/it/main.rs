//! The simulated broker, spoken to on the wire.

mod publish;
mod smoke;
