//! How the keeper of the journal is called: at once when somebody waits, soon when nobody does.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Calls one thread.
#[derive(Debug, Default)]
pub(super) struct Bell {
    call: Mutex<Call>,
    rung: Condvar,
}

/// Why the thread is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    /// It is not.
    #[default]
    None,
    /// There is something to write that nobody waits for.
    Soon,
    /// Somebody waits.
    Now,
    /// It is to end.
    Stop,
}

impl Bell {
    pub(super) fn ring_soon(&self) {
        self.ring(Call::Soon);
    }

    pub(super) fn ring_now(&self) {
        self.ring(Call::Now);
    }

    pub(super) fn stop(&self) {
        self.ring(Call::Stop);
    }

    /// Waits to be called, for so long at most, and says why. A call that is not urgent is answered after a while,
    /// so that what comes meanwhile is written with it.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> Call {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let mut call = self.lock();
        while *call == Call::None {
            match left(until) {
                Some(Duration::ZERO) => return Call::None,
                left => call = self.sleep(call, left),
            }
        }
        let until = Some(Instant::now() + SOON);
        while *call == Call::Soon {
            match left(until) {
                Some(Duration::ZERO) => break,
                left => call = self.sleep(call, left),
            }
        }
        match *call {
            Call::Stop => Call::Stop,
            _ => std::mem::take(&mut *call),
        }
    }

    fn ring(&self, urgency: Call) {
        let mut call = self.lock();
        if *call < urgency {
            *call = urgency;
            drop(call);
            self.rung.notify_one();
        }
    }

    fn sleep<'a>(&self, call: MutexGuard<'a, Call>, left: Option<Duration>) -> MutexGuard<'a, Call> {
        match left {
            None => self.rung.wait(call).unwrap_or_else(PoisonError::into_inner),
            Some(left) => self.rung.wait_timeout(call, left).unwrap_or_else(PoisonError::into_inner).0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn left(until: Option<Instant>) -> Option<Duration> {
    until.map(|until| until.saturating_duration_since(Instant::now()))
}

/// What nobody waits for is written within this.
const SOON: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_call_counts_and_is_answered_once() {
        let bell = Bell::default();
        assert_eq!(bell.wait(Some(Duration::ZERO)), Call::None);
        bell.ring_soon();
        bell.ring_now();
        bell.ring_soon();
        assert_eq!(bell.wait(None), Call::Now);
        assert_eq!(bell.wait(Some(Duration::ZERO)), Call::None);
        bell.ring_soon();
        assert_eq!(bell.wait(None), Call::Soon);
        bell.stop();
        bell.ring_now();
        assert_eq!(bell.wait(None), Call::Stop);
        assert_eq!(bell.wait(None), Call::Stop, "an end is for good");
    }
}
