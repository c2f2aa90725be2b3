//! The MQTT protocol and session state machine, without sockets, clocks or threads.
//!
//! [`Session`] is what a broker keeps for a client: subscriptions, what the client is owed, what it has not
//! released, its will. Its state changes only through [`Session::apply`], so that a journal of
//! [`SessionChange`]s gives it back. [`Link`] is the connection it may have. [`Outbound`] and [`Inbound`] are
//! the two halves of QoS 1 and 2 and serve both roles. [`client::Client`] is the other end: a client on the
//! same session.

mod acks;
mod alias;
mod change;
pub mod client;
mod connect_queue;
mod deliver;
mod durability;
mod inbound;
mod limits;
mod link;
mod memory;
mod meters;
mod outbound;
mod output;
mod pace;
mod payload;
mod position;
mod publication;
mod recorded;
mod session;
mod subscriptions;
mod terms;
#[cfg(test)]
mod testing;
mod time;

pub use acks::AckMismatch;
pub use alias::{AliasUse, AliasesIn, AliasesOut};
pub use change::{DropReason, SessionChange, Settlement, Subscription};
pub use connect_queue::ConnectQueue;
pub use deliver::{Offer, SessionEffects};
pub use durability::{Durability, DurabilityRule};
pub use inbound::Inbound;
pub use limits::Limits;
pub use link::{ConnectionId, Link};
pub use memory::{MemoryGauge, MemoryShare};
pub use meters::{MeterTable, Meters, Rates};
pub use outbound::{Delivered, GroupNumber, Missing, Outbound, Owed, Phase, SubscriptionIds};
pub use output::{AckKind, Encoded, HeldPing, Outgoing, OutgoingPublish, Output, Wire};
pub use pace::{Pace, Pause};
pub use payload::Payload;
pub use position::{Place, Position};
pub use publication::{MessageNumber, Parts, Publication, StoredWill};
pub use session::{Session, SessionNumber};
pub use subscriptions::{Subscriptions, has_wildcards};
pub use terms::{ClientIds, Terms, Versions};
pub use time::Instant;
