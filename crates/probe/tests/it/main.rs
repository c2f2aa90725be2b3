//! The probe against a broker that does what the test tells it, over real sockets.

mod clean;
mod comparison;
mod fake;
mod faults;
mod prove;
