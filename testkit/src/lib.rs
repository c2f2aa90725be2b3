//! What only tests and measurements need: the simulator that runs whole brokers with a virtual clock and
//! network, the hot path without a machine, and the reference relay.

pub mod hot_path;
pub mod open_files;
pub mod sim;
pub mod wire;
