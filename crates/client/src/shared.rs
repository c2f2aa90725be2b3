//! What a client's handles and its driver share: the core behind a lock, held for one change at a time.

use crate::clock::Clock;
use crate::core::Core;
use crate::disk::Disk;
use crate::options::Options;
use crate::publish::Outbox;
use crate::state::{Metrics, State};
use noctule_session::{Instant, SessionChange};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tracing::Span;

/// One client.
#[derive(Debug)]
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Wakes the driver, which is the only one that waits for it.
    wake: Notify,
    pub(crate) clock: Clock,
    pub(crate) state: watch::Receiver<State>,
    /// Told of every change while somebody watches.
    metrics: watch::Sender<Metrics>,
    pub(crate) outbox: Outbox,
    pub(crate) disk: Option<Disk>,
    /// Where the driver runs.
    pub(crate) runtime: Handle,
    pub(crate) options: Arc<Options>,
    /// What is told of this client belongs there.
    pub(crate) span: Span,
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
        let (client_id, server) = (&*options.connect.client_id, options.address.place());
        let span = tracing::info_span!("mqtt", client_id, server);
        let mut core = Core::new(Arc::clone(&options), sender, changes, span.clone());
        core.adopt(|bytes| outbox.try_room(bytes));
        let disk = options.disk.is_some().then(Disk::new);
        let metrics = watch::channel(Metrics::default()).0;
        let (core, wake) = (Mutex::new(core), Notify::new());
        Self { core, wake, clock, state, metrics, outbox, disk, runtime, options, span }
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
        let mut core = self.lock();
        let result = work(&mut core, now);
        if self.metrics.receiver_count() > 0 {
            self.tell_metrics(&core);
        }
        result
    }

    /// What the client has done.
    pub(crate) fn metrics(&self) -> Metrics {
        self.measure(&self.lock())
    }

    /// The same, told again whenever it has changed.
    pub(crate) fn watch_metrics(&self) -> watch::Receiver<Metrics> {
        let receiver = self.metrics.subscribe();
        self.tell_metrics(&self.lock());
        receiver
    }

    /// Called with the lock held, so that what is told last is the newest.
    fn tell_metrics(&self, core: &Core) {
        let now = self.measure(core);
        self.metrics.send_if_modified(|told| std::mem::replace(told, now) != now);
    }

    fn measure(&self, core: &Core) -> Metrics {
        let (outbox_messages, outbox_bytes) = self.outbox.used();
        Metrics { outbox_messages, outbox_bytes, ..core.metrics() }
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
