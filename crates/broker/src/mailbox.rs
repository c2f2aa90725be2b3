//! What threads hand each other: one mailbox for each, first in, first out.
//!
//! A thread that has nothing to do says so before it waits for its sockets, and who puts something into its
//! mailbox then wakes it; otherwise nobody is woken, and a busy thread costs the others no system call. The
//! size of mailboxes is bounded where mail comes from: see `Next::Blocked`.
//!
//! The tests of this file play it with loom's threads in every order that matters; therefore what it takes
//! from `std::sync` comes by way of `crate::sync`.

use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::VecDeque;

/// Ends the wait of a thread.
pub(crate) trait Wake {
    /// Ends the wait of the thread, or the next one it begins.
    fn wake(&self);
}

/// The mailbox of one thread.
#[derive(Debug)]
pub(crate) struct Mailbox<P, W> {
    inside: Mutex<Inside<P>>,
    waker: W,
}

#[derive(Debug)]
struct Inside<P> {
    parcels: VecDeque<P>,
    /// The owner waits, or is about to, and has not been woken.
    is_asleep: bool,
}

impl<P, W: Wake> Mailbox<P, W> {
    /// An empty mailbox, whose owner is woken like this.
    pub(crate) fn new(waker: W) -> Self {
        Self { inside: Mutex::new(Inside { parcels: VecDeque::new(), is_asleep: false }), waker }
    }

    /// Puts parcels behind those that are there.
    pub(crate) fn put(&self, parcels: impl IntoIterator<Item = P>) {
        let mut inside = self.inside();
        inside.parcels.extend(parcels);
        let is_to_wake = std::mem::take(&mut inside.is_asleep);
        drop(inside);
        if is_to_wake {
            self.waker.wake();
        }
    }

    /// Takes all parcels, behind those that the owner has taken before.
    pub(crate) fn take(&self, taken: &mut VecDeque<P>) {
        let parcels = &mut self.inside().parcels;
        if taken.is_empty() {
            std::mem::swap(parcels, taken);
        } else {
            taken.append(parcels);
        }
    }

    /// The owner is about to wait. Says whether it may: not while there are parcels.
    pub(crate) fn fall_asleep(&self) -> bool {
        let mut inside = self.inside();
        inside.is_asleep = inside.parcels.is_empty();
        inside.is_asleep
    }

    /// The owner has stopped waiting.
    pub(crate) fn wake_up(&self) {
        self.inside().is_asleep = false;
    }

    fn inside(&self) -> MutexGuard<'_, Inside<P>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
