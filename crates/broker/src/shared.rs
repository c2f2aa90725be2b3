//! What the threads of the broker have in common.

use crate::access::pool::PasswordPool;
use crate::data_dir::DataDir;
use crate::entrance::LISTENERS_MAX;
use crate::ledger::Ledger;
use crate::locks::Locks;
use crate::mailbox::{Mailbox, Wake};
use crate::reload::Reloaded;
use crate::sockets::Moving;
use mio::Waker;
use noctule_auth::Access;
use noctule_engine::{CheckAnswer, Content, Directory, Handover, Mail, ShardId, Stats, Subscriber};
use noctule_session::{ConnectionId, Instant, Limits, MessageNumber, Position};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time;

/// What all shards' threads share.
pub(crate) struct Shared {
    pub(crate) directory: Directory,
    /// The limits at the start; those in force are the shards'.
    pub(crate) limits: Arc<Limits>,
    memory_bytes_max: AtomicU64,
    /// What shards ask when they start.
    access: Mutex<Arc<Access>>,
    pub(crate) passwords: PasswordPool,
    /// Locked for as long as anybody works.
    pub(crate) data_dir: DataDir,
    /// A number that differs from start to start.
    pub(crate) seed: u64,
    started: time::Instant,
    /// What the clock showed then: the time of day, unless an earlier run has seen a later one.
    clock_at_start: Instant,
    mailboxes: Box<[Mailbox<Parcel, Waker>]>,
    /// Connections that have not been told their end.
    served: AtomicUsize,
    /// The same by listener.
    served_at: Box<[AtomicUsize]>,
    ledger: Mutex<Ledger>,
}

/// What a thread finds in its mailbox.
pub(crate) enum Parcel {
    /// Something for its shard.
    Mail(Mail),
    /// A connection whose client is at home there.
    Connection(Box<(Moving, Handover)>),
    /// A shard wants to know what this one has counted.
    AskStats(ShardId),
    /// The answer.
    Stats(Box<Stats>),
    /// A password has been checked, or not, for this connection.
    Checked(Box<(ConnectionId, CheckAnswer)>),
    /// This decides about clients from now on.
    Access(Arc<Access>),
    /// The journal has got further, and the shard waits for it.
    Committed,
    /// Contents that were asked for, and by which session.
    Contents(Box<(Subscriber, Vec<Content>)>),
    /// The disk cannot read now what this session has asked for.
    Unreadable(Subscriber),
    /// Everything before this is to be recorded anew.
    Restate(Position),
    /// Where contents stand that were moved.
    Places(Vec<(MessageNumber, Position)>),
    /// A file of the configuration has changed.
    FilesChanged,
    /// Another configuration is ready, or has been refused.
    Reloaded(Option<Box<Reloaded>>),
    /// Other limits are in force.
    Limits(Arc<Limits>),
    /// The broker stops.
    Stop,
    /// A shard has published its last wills; all mail it ever sends has been sent.
    LastWills,
}

impl Wake for Waker {
    fn wake(&self) {
        // It fails only if the descriptor is gone, and then the thread is too.
        let _ = Self::wake(self);
    }
}

impl Parcel {
    /// Bytes of mail in it, which are bounded; everything else has room always.
    pub(crate) fn mail_bytes(&self) -> u64 {
        match self {
            Self::Mail(mail) => mail.bytes(),
            _ => 0,
        }
    }
}

impl Shared {
    pub(crate) fn new(
        limits: Limits,
        drops_max: u32,
        wakers: Vec<Waker>,
        clock_at_start: Instant,
        data_dir: DataDir,
        (access, attempts_per_minute_max): (Access, u32),
    ) -> Self {
        let started = time::Instant::now();
        let shards = u16::try_from(wakers.len()).expect("shards are counted in 16 bits");
        Self {
            data_dir,
            directory: Directory::new::<Locks>(shards),
            memory_bytes_max: AtomicU64::new(limits.memory_bytes_max),
            limits: Arc::new(limits),
            access: Mutex::new(Arc::new(access)),
            passwords: PasswordPool::new(attempts_per_minute_max),
            seed: seed(),
            started,
            clock_at_start,
            mailboxes: wakers.into_iter().map(Mailbox::new).collect(),
            served: AtomicUsize::new(0),
            served_at: (0..LISTENERS_MAX).map(|_| AtomicUsize::new(0)).collect(),
            ledger: Mutex::new(Ledger::new(drops_max, started)),
        }
    }

    /// The time: it began with the time of day and then went on by itself, so that what was recorded in an earlier
    /// run has an age, and nobody who sets the clock changes it. The only place where the broker looks at the
    /// clock for its shards.
    pub(crate) fn now(&self) -> Instant {
        let elapsed = self.started.elapsed().as_millis();
        self.clock_at_start + u64::try_from(elapsed).unwrap_or(u64::MAX)
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> u16 {
        u16::try_from(self.mailboxes.len()).expect("shards are counted in 16 bits")
    }

    /// All shards but this one.
    pub(crate) fn others(&self, me: ShardId) -> impl Iterator<Item = ShardId> {
        (0..self.shards()).map(ShardId).filter(move |shard| *shard != me)
    }

    /// The mailbox of a shard's thread.
    pub(crate) fn mailbox(&self, shard: ShardId) -> &Mailbox<Parcel, Waker> {
        &self.mailboxes[usize::from(shard.0)]
    }

    /// Has other limits in force on every shard.
    pub(crate) fn set_limits(&self, limits: &Arc<Limits>, drop_ledger_entries_max: u32) {
        self.memory_bytes_max.store(limits.memory_bytes_max, Ordering::Relaxed);
        self.ledger().set_entries_max(drop_ledger_entries_max);
        self.mailboxes.iter().for_each(|mailbox| mailbox.put([Parcel::Limits(Arc::clone(limits))]));
    }

    /// Tells every thread but this one's to stop.
    pub(crate) fn stop_others(&self, me: ShardId) {
        self.others(me).for_each(|shard| self.mailbox(shard).put([Parcel::Stop]));
    }

    /// Who decides about clients.
    pub(crate) fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has this decide about clients from now on, on every shard: about those who come, and about what those do who are
    /// there. Its generation has to be another one than that of any before it.
    pub(crate) fn set_access(&self, access: Access, attempts_per_minute_max: u32) {
        let access = Arc::new(access);
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&access);
        self.passwords.renew(attempts_per_minute_max);
        for mailbox in &self.mailboxes {
            mailbox.put([Parcel::Access(Arc::clone(&access))]);
        }
    }

    /// How many connections are served by all shards.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// How many connections of one listener are served.
    pub(crate) fn served_at(&self, listener: u16) -> usize {
        self.served_at[usize::from(listener)].load(Ordering::Relaxed)
    }

    /// A listener has accepted a connection.
    pub(crate) fn begin_serving(&self, listener: u16) {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.served_at[usize::from(listener)].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection of a listener has been told its end, or is gone.
    pub(crate) fn end_serving(&self, listener: u16) {
        self.served.fetch_sub(1, Ordering::Relaxed);
        self.served_at[usize::from(listener)].fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there is no memory for packets that are not complete: an eighth is left to those that are.
    pub(crate) fn is_memory_short(&self) -> bool {
        let bytes_max = self.memory_bytes_max.load(Ordering::Relaxed);
        self.directory.memory.bytes() > bytes_max - bytes_max / 8
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that differs from start to start, from the hasher that the standard library seeds.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token};
    use noctule_auth::Authority as _;
    use noctule_auth::admission::Backends;
    use std::collections::VecDeque;

    #[test]
    fn another_access_reaches_every_shard() {
        let folder = tempfile::tempdir().unwrap();
        let polls = [Poll::new().unwrap(), Poll::new().unwrap()];
        let wakers = polls.iter().map(|poll| Waker::new(poll.registry(), Token(0)).unwrap()).collect();
        let data_dir = DataDir::open(folder.path()).unwrap();
        let access = (Access::unconfigured(), 30);
        let shared = Shared::new(Limits::default(), 10, wakers, Instant::from_millis(0), data_dir, access);
        assert_eq!(shared.access().generation(), 0);
        shared.set_access(Access::new(Backends::default(), Access::no_rules(), 1), 5);
        assert_eq!(shared.access().generation(), 1, "for shards that start later");
        for shard in 0..2 {
            let mut parcels = VecDeque::new();
            shared.mailbox(ShardId(shard)).take(&mut parcels);
            let is_it = |parcel| matches!(parcel, Parcel::Access(access) if access.generation() == 1);
            assert_eq!(parcels.into_iter().map(is_it).collect::<Vec<_>>(), [true]);
        }
    }
}
