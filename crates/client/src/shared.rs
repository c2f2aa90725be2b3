//! What a client's handles and its driver share: the core behind a lock, held for one change at a time.

use crate::core::Core;
use crate::options::Options;
use crate::publish::Outbox;
use crate::state::State;
use noctule_session::Instant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

/// One client.
#[derive(Debug)]
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Wakes the driver, which is the only one that waits for it.
    wake: Notify,
    start: tokio::time::Instant,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) outbox: Outbox,
    /// Where the driver runs.
    pub(crate) runtime: Handle,
    pub(crate) options: Arc<Options>,
}

/// Somebody outside still holds the client: a [`Client`](crate::Client) or a stream. When the last of them is
/// dropped, the client says goodbye and ends.
#[derive(Debug)]
pub(crate) struct Alive(pub(crate) Arc<Shared>);

impl Shared {
    pub(crate) fn new(options: Arc<Options>, outbox: Outbox, runtime: Handle) -> Self {
        let (sender, state) = watch::channel(State::Connecting);
        Self {
            core: Mutex::new(Core::new(Arc::clone(&options), sender)),
            wake: Notify::new(),
            start: tokio::time::Instant::now(),
            state,
            outbox,
            runtime,
            options,
        }
    }

    /// Changes something that the driver has to know.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let result = self.with(change);
        self.wake();
        result
    }

    /// Tells the driver that there is something to do.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Does something of which the driver need not know.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let now = self.now();
        work(&mut self.lock(), now)
    }

    /// Waits until something has changed. A change before the call counts.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// The time as the core knows it.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// A time of the core as the runtime knows it. Rounded up, so that who wakes then is not too early.
    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        // A year, where the clock cannot say it.
        const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let far = || tokio::time::Instant::now() + FAR;
        self.start.checked_add(Duration::from_millis(instant.as_millis())).unwrap_or_else(far)
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // A panic inside would have been ours; the state is still the last that was reached.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.change(|core, now| core.close(Duration::ZERO, now));
    }
}
