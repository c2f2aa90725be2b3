//! `noctule prove durability`: does an acknowledgement survive `kill -9`?
//!
//! The trial starts a broker itself, puts a mixed load on it, kills it at a random moment, starts it again on the same
//! data and looks at what comes back, round after round. Its clients keep their own state over every crash and resume
//! as the standard says, so whatever is lost or doubled is the broker's doing.
//!
//! - `options` say what to do, `place` is where, `broker` the process, `dice` the chance;
//! - `cast` says who takes part; `peer` is one client, `outbox` and `inbox` the two halves of its session;
//! - `network` carries bytes between clients and sockets, `trial` has the rounds and the kills;
//! - `mark` is what payloads carry, `books` and `deliveries` hold what was promised and what came, and the verdicts
//!   follow from them alone; [`Proof`] is the report.
//!
//! Only `network`, `broker`, `place` and `trial` touch the machine.

mod books;
mod broker;
mod cast;
mod deliveries;
mod dice;
mod error;
mod inbox;
mod mark;
mod network;
mod options;
mod outbox;
mod peer;
mod place;
mod proof;
mod text;
mod trial;
mod verdict;

pub use error::ProveError;
pub use options::{BrokerCommand, ProveOptions};
pub use place::Place;
pub use proof::{Kills, Proof, Restarts};
pub use trial::{Watch, prove};
pub use verdict::{
    Attendance, ClassVerdict, ResumedVerdict, RetainedVerdict, SessionsVerdict, SubscriptionsVerdict,
    WillsVerdict,
};
