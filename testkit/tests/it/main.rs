//! The simulated broker, spoken to on the wire.

mod smoke;
