//! Who are you, may you: every decision with the rule that made it.
//!
//! A decision is a pure function of what is asked; it reads no clock, file or socket. The engine asks at every
//! CONNECT, PUBLISH, SUBSCRIBE, will and delivery.

mod decision;

pub use decision::{Action, AllowAll, Authority, Credentials, Decision, Identity, Rights};
