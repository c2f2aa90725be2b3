//! What the library is to do, in order. A session asks for contents once at a time and a shard has one batch moved,
//! so there are never more jobs than sessions and shards.

use super::Job;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A queue of jobs for one thread.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    waiting: Mutex<VecDeque<Job>>,
    put: Condvar,
}

impl Jobs {
    pub(super) fn put(&self, job: Job) {
        self.lock().push_back(job);
        self.put.notify_one();
    }

    /// The next job, once there is one.
    pub(super) fn next(&self) -> Job {
        let mut waiting = self.lock();
        loop {
            match waiting.pop_front() {
                Some(job) => return job,
                None => waiting = self.put.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Lets the thread rest for so long, or until another job comes.
    pub(super) fn rest(&self, time: Duration) {
        drop(self.put.wait_timeout(self.lock(), time));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
