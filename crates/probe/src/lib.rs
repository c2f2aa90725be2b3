//! The probe: judges any MQTT broker from outside.
//!
//! It plays publishers and subscribers over real sockets, measures rate, latency, and what the broker's process
//! spends, and keeps books on every message, so that what was lost, came twice, came out of order or was refused is
//! in the report next to the figures. `noctule bench` is its command line; `docs/bench.md` is the guide.
//! [`prove()`] kills a broker under load and judges what comes back; `docs/prove.md` is the guide to that.
//!
//! One thread runs one edge-triggered readiness loop over all connections, with one read buffer, one write per
//! connection and turn, and no allocation per message. How the parts divide the work:
//!
//! - [`Options`] say what to do; `load` says who publishes what to whom, `pace` when;
//! - `connection` is bytes in and out, `client` one connection of a run, `driver` the loop around all of them;
//! - `traffic` writes and reads messages, `tally` keeps the books, `stamp` is what a payload carries for them;
//! - `scenario` has the phases of each scenario;
//! - `process` reads what a process uses, [`Report`] and [`Comparison`] say what was found;
//! - `prove` is the trial with kills, apart from the load of `bench`; the two share connections, packets, incidents.
//!
//! Packets are written and read by `noctule-codec`, so a broker that sends what is not MQTT is reported as well;
//! `incoming` has a short cut for the two kinds that come by the million.

mod client;
mod compare;
mod connection;
mod driver;
mod error;
mod frames;
mod incidents;
mod incoming;
mod latency;
mod load;
mod options;
mod pace;
mod packet_ids;
mod process;
mod progress;
mod prove;
mod report;
mod scenario;
mod stamp;
mod tally;
mod target;
mod text;
mod traffic;

pub use compare::{Compared, Comparison, Median, MedianPhase, Rival, compare};
pub use error::Error;
pub use incidents::{Happened, Refused};
pub use latency::Latency;
pub use noctule_codec::{ProtocolVersion, QoS};
pub use noctule_transport::{Authorities, CertificateError};
pub use options::{Options, Scenario};
pub use process::{Memory, ProcessCost};
pub use prove::{
    Attendance, BrokerCommand, ClassVerdict, Kills, Place, Proof, ProveError, ProveOptions, Restarts,
    ResumedVerdict, RetainedVerdict, SessionsVerdict, SubscriptionsVerdict, Watch, WillsVerdict, prove,
};
pub use report::{Messages, OpenLoop, Phase, Report, Setup};
pub use scenario::run;
pub use target::{Target, TargetError};
