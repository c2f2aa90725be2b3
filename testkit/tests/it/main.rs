//! The simulated broker, spoken to on the wire, and the testkit's own tools, run as programs.

mod relay;
mod smoke;
