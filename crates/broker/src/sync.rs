//! What files take from the standard library that the tests play with loom's threads.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
