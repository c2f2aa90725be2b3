//! The broker as its neighbours see it.

mod config;
mod listener_tables;
mod mailbox;
mod testing;

/// What `mailbox` takes from the standard library otherwise.
mod sync {
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}
