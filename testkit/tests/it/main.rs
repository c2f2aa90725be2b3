//! The simulated broker, spoken to on the wire.

mod alias;
mod bounds;
mod chaos;
mod connect;
mod crash;
mod disconnect;
mod durability;
mod expiry;
mod flow;
mod levels;
mod malformed;
mod permission;
mod publish;
mod qos;
mod relay;
mod replay;
mod retained;
mod session;
mod shards;
mod shared;
mod slow;
mod smoke;
mod story;
mod subscribe;
mod takeover;
mod will;
