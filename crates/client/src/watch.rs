//! A value that changes, as its user looks at it: the newest one, never a lock on it.

use tokio::sync::watch;

/// Something that changes while somebody watches: made by [`Client::state`](crate::Client::state) and
/// [`Client::watch_metrics`](crate::Client::watch_metrics).
///
/// It gives values and no borrows, so whoever looks at one may take as long as he likes, and use the client meanwhile.
/// Values that are replaced before they are looked at are not seen.
#[derive(Clone, Debug)]
pub struct Watch<T> {
    receiver: watch::Receiver<T>,
    /// Whether nothing comes after this value.
    is_last: fn(&T) -> bool,
    is_over: bool,
}

impl<T: Clone> Watch<T> {
    pub(crate) fn new(mut receiver: watch::Receiver<T>, is_last: fn(&T) -> bool) -> Self {
        receiver.mark_changed();
        Self { receiver, is_last, is_over: false }
    }

    /// What it is now.
    pub fn get(&self) -> T {
        self.receiver.borrow().clone()
    }

    /// What it is now, at the first call; from then on the newest value that this watch has not given. `None` once it
    /// does not change any more. Dropping the future misses nothing.
    pub async fn next(&mut self) -> Option<T> {
        if self.is_over || self.receiver.changed().await.is_err() {
            return None;
        }
        let value = self.receiver.borrow_and_update().clone();
        self.is_over = (self.is_last)(&value);
        Some(value)
    }

    /// Waits for a value of which this is true, now or later; `None` if none comes any more.
    pub async fn wait_for(&mut self, mut is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let now = self.get();
        if is_it(&now) {
            return Some(now);
        }
        while let Some(value) = self.next().await {
            if is_it(&value) {
                return Some(value);
            }
        }
        None
    }
}
