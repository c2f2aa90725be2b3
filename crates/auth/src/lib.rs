//! Who are you, may you: every decision with the rule that made it.
//!
//! A decision is a pure function of what is asked; it reads no clock, file or socket. The engine asks at every
//! CONNECT, PUBLISH, SUBSCRIBE, will and delivery.

mod access;
pub mod admission;
mod decision;
pub mod dynamic_security;
mod explain;
mod file_error;
mod identity;
pub mod mosquitto;
pub mod password;
pub mod rules;
pub mod users;

pub use access::Access;
pub use decision::{Action, AllowAll, Authority, Credentials, Decision, Reach, Rights};
pub use explain::Explanation;
pub use file_error::FileError;
pub use identity::{Address, Certificate, Groups, Identity, Listener, Origin};
pub use noctule_codec::QoS;
