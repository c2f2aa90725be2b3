//! What the library is to do, in order. A session asks for contents once at a time and a shard has one batch moved,
//! so there are never more jobs than sessions and shards.

use super::Job;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

    /// The next job, once there is one; none if there is none by then.
    pub(super) fn next(&self, until: Option<Instant>) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.pop_front() {
                return Some(job);
            }
            waiting = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return None,
                Some(left) => self.put.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.put.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
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
