//! Session.
mod limits;
pub use limits::Limits;
