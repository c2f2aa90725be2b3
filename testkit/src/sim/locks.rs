//! The guards of the simulated directory. One thread plays all shards, so nobody ever waits for them.

use noctule_engine::{Guarded, Guards};
use std::fmt::Debug;
use std::sync::RwLock;

/// Guards by a lock each.
pub struct Locks;

#[derive(Debug)]
struct Lock<T>(RwLock<T>);

impl Guards for Locks {
    fn guard<T: Debug + Send + Sync + 'static>(value: T) -> Box<dyn Guarded<T>> {
        Box::new(Lock(RwLock::new(value)))
    }
}

impl<T: Debug + Send + Sync> Guarded<T> for Lock<T> {
    fn read(&self, look: &mut dyn FnMut(&T)) {
        look(&self.0.try_read().unwrap_or_else(|error| panic!("a look inside a change: {error}")));
    }

    fn change(&self, change: &mut dyn FnMut(&mut T)) {
        change(&mut self.0.try_write().unwrap_or_else(|error| panic!("a change inside a look: {error}")));
    }
}
