//! Who may come in and what they may do, as it is configured: files are read here and passwords are checked here; what
//! they come to is decided in `noctule-auth`.
//!
//! Nothing of it runs on the thread of a shard: files are read before the broker starts and at a reload, passwords are
//! checked by a pool of threads.

mod attempts;
mod load;
pub(crate) mod pool;
mod renew;
pub mod secrets;

pub(crate) use load::files;
pub use load::{Loaded, load};
/// What decides.
pub use noctule_auth as auth;
