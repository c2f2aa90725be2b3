//! How the directory is guarded between threads: a lock for each part, many readers or one writer.
//!
//! Routes are kept by each shard, so a lock is passed only where one is searched for, where subscriptions
//! change and where a message is retained. What is done inside takes microseconds.

use noctule_engine::{Guarded, Guards};
use std::fmt::Debug;
use std::sync::{PoisonError, RwLock};

/// Guards by a lock each.
pub(crate) struct Locks;

#[derive(Debug)]
struct Lock<T>(RwLock<T>);

impl Guards for Locks {
    fn guard<T: Debug + Send + Sync + 'static>(value: T) -> Box<dyn Guarded<T>> {
        Box::new(Lock(RwLock::new(value)))
    }
}

// A thread that panics takes the process with it, so a poisoned lock is never seen for long.
impl<T: Debug + Send + Sync> Guarded<T> for Lock<T> {
    fn read(&self, look: &mut dyn FnMut(&T)) {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner));
    }

    fn change(&self, change: &mut dyn FnMut(&mut T)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}
