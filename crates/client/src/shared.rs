//! What a client's handles and its driver share: the core behind a lock, held for one change at a time.

use crate::clock::Clock;
use crate::core::Core;
use crate::disk::Disk;
use crate::options::Options;
use crate::publish::Outbox;
use crate::state::State;
use noctule_session::{Instant, SessionChange};
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
    pub(crate) clock: Clock,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) outbox: Outbox,
    pub(crate) disk: Option<Disk>,
    /// Where the driver runs.
    pub(crate) runtime: Handle,
    pub(crate) options: Arc<Options>,
}

/// What a client begins with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) options: Arc<Options>,
    pub(crate) outbox: Outbox,
    pub(crate) clock: Clock,
    /// What an earlier run has left on disk.
    pub(crate) changes: Vec<SessionChange>,
}

/// Somebody outside still holds the client: a [`Client`](crate::Client) or a stream. When the last of them is
/// dropped, the client says goodbye and ends.
#[derive(Debug)]
pub(crate) struct Alive(pub(crate) Arc<Shared>);

impl Shared {
    /// A client with what an earlier run has left it.
    pub(crate) fn new(start: Start, runtime: Handle) -> Self {
        let Start { options, outbox, clock, changes } = start;
        let (sender, state) = watch::channel(State::Connecting);
        let mut core = Core::new(Arc::clone(&options), sender, changes);
        core.adopt(|bytes| outbox.try_room(bytes));
        let disk = options.disk.is_some().then(Disk::new);
        Self { core: Mutex::new(core), wake: Notify::new(), clock, state, outbox, disk, runtime, options }
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
        self.disk.iter().for_each(Disk::wake);
    }

    /// Does something of which the driver need not know.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let now = self.clock.now();
        work(&mut self.lock(), now)
    }

    /// Waits until something has changed. A change before the call counts.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Waits until everything that has changed so far is durable, where there is an outbox on disk.
    pub(crate) async fn persisted(&self) {
        if let Some(disk) = &self.disk {
            disk.reached(self.with(|core, _| core.position())).await;
        }
    }

    /// The same for who may outlive the driver. Returns whether it is durable.
    pub(crate) async fn persisted_or_closed(&self) -> bool {
        let mut state = self.state.clone();
        tokio::select! {
            biased;
            () = self.persisted() => true,
            _ = state.wait_for(State::is_closed) => false,
        }
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
