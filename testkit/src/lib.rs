//! What only tests and measurements need: the simulator that runs whole brokers with a virtual clock and
//! network, and the reference relay.

pub mod open_files;
pub mod sim;
pub mod wire;
