//! The library as its users have it: over real sockets, against real brokers and against one made to fail.

mod cancel;
mod comeback;
mod connection;
mod dial;
mod faces;
mod guide;
mod killed;
mod ledger;
mod outbox;
mod roundtrip;
mod said;
mod server;
mod support;
mod telemetry;
