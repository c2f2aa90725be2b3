//! The shard: sessions, routing, retained messages, sharing and wills, without sockets, clocks or threads.
//!
//! A runtime owns the machine: it accepts connections, reads bytes, tells the time and carries out what a
//! [`Shard`] leaves in its [`Effects`]. The same code runs in the broker, in simulation and behind
//! `noctule explain`. The shape of a turn:
//!
//! ```text
//!   bytes, mail, timeouts -> Shard -> Effects: records  (append)
//!                                              changes  (then make visible)
//!                                              mail     (then send)
//!                                              promises (release once the records are durable)
//!                                              dirty    (flush each connection once)
//! ```
//!
//! [`Shard::end_turn`] is where that order is written.

mod acks;
mod admission;
mod client_id;
mod connect;
mod connection;
mod deliver;
mod directory;
mod disconnect;
mod effects;
mod fight;
mod filters_in_order;
mod generations;
mod grace;
mod groups;
mod handshake;
mod journal;
mod long;
mod mail;
mod mount;
mod ping;
mod publications;
mod publish;
mod record;
mod replay;
mod resident;
mod restate;
mod restore;
mod retained;
mod retained_phases;
mod route;
mod routes;
mod search;
mod sessions;
mod shard;
mod share;
mod stats;
mod storm;
mod subscribe;
mod timers;

pub use admission::{CheckAnswer, PasswordCheck};
pub use connection::{Flush, Handover, Next, Received};
pub use directory::{
    Change, Directory, Guarded, Guards, Interest, JournalGauge, JournalState, MailGauge, Part, Subscriber,
};
pub use effects::{Drop, Effects, Event};
pub use generations::{Generation, Generations, Watch};
pub use groups::{Groups, Roster};
pub use handshake::{Arrival, ArrivalRefusal};
pub use journal::{Content, Request};
pub use mail::{Mail, Promise, ShardId, Then, Violation};
pub use record::{
    Frame, FrameTarget, Frames, PayloadPart, Record, RecordError, brief, content, contents, has_one_receiver,
    is_in_parts, moved_bytes, part,
};
pub use replay::{Given, Remembered, RememberedGroup, RememberedPhase, RememberedSession, Replay, Span};
pub use restore::{Restorer, Start};
pub use route::{Route, Target};
pub use shard::{Carrier, Shard, ShardConfig, Turn, home};
pub use stats::Stats;
