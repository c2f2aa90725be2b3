//! Passwords are checked here, on threads of their own: it takes tens of milliseconds and as many mebibytes each, which
//! is the point of hashing them so.
//!
//! - Threads are made when there is something to check, at most [half as many as cores](threads_max), and end when
//!   there has been nothing for a while.
//! - The queue is bounded. A client that finds it full is told to come again.
//! - Whoever has guessed too often is refused before anything is hashed: when it asks, and once more when its turn
//!   comes.

use super::attempts::Attempts;
use super::renew::renew;
use crate::shared::{Parcel, Shared};
use noctule_auth::admission::Upgrade;
use noctule_engine::{CheckAnswer, PasswordCheck, ShardId};
use noctule_session::{ConnectionId, Instant};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::{error, info, warn};

/// The passwords that are to be checked, and who does it.
#[derive(Debug)]
pub(crate) struct PasswordPool {
    inside: Mutex<Inside>,
    has_work: Condvar,
}

#[derive(Debug)]
struct Inside {
    queue: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for something to do.
    idle: usize,
    attempts: Attempts,
    /// Users whose passwords have been hashed anew since the files were read.
    renewed: HashSet<(Arc<str>, Box<str>)>,
}

/// A password to be checked, for a client of this shard.
#[derive(Debug)]
struct Job {
    shard: ShardId,
    check: PasswordCheck,
    /// Nobody waits for it any more then.
    until: Instant,
}

impl PasswordPool {
    pub(crate) fn new(attempts_per_minute_max: u32) -> Self {
        let attempts = Attempts::new(attempts_per_minute_max);
        let (queue, renewed) = (VecDeque::new(), HashSet::new());
        let inside = Inside { queue, threads: 0, idle: 0, attempts, renewed };
        Self { inside: Mutex::new(inside), has_work: Condvar::new() }
    }

    /// The files of users have been read again.
    pub(crate) fn renew(&self, attempts_per_minute_max: u32) {
        let mut inside = self.inside();
        inside.attempts.set_per_minute_max(attempts_per_minute_max);
        inside.renewed.clear();
    }

    /// Has a password checked for a client of this shard, who gets the answer as [`Parcel::Checked`].
    pub(crate) fn check(shared: &Arc<Shared>, shard: ShardId, check: PasswordCheck) {
        let id = check.connection;
        if let Some(answer) = shared.passwords.take(shared, shard, check) {
            tell(shared, shard, id, answer);
        }
    }

    /// The client of a connection does not wait any more.
    pub(crate) fn forget(&self, shard: ShardId, id: ConnectionId) {
        self.inside().queue.retain(|job| job.shard != shard || job.check.connection != id);
    }

    /// Takes a check into the queue, or answers at once.
    fn take(&self, shared: &Arc<Shared>, shard: ShardId, check: PasswordCheck) -> Option<CheckAnswer> {
        let now = shared.now();
        let mut inside = self.inside();
        if !inside.attempts.allow(check.address, &check.user_name, now) {
            return Some(CheckAnswer::TooManyAttempts);
        }
        if inside.queue.len() >= QUEUE_MAX {
            return Some(CheckAnswer::Busy);
        }
        let until = now + shared.limits.connect_timeout_ms;
        inside.queue.push_back(Job { shard, check, until });
        if inside.idle >= inside.queue.len() || inside.threads >= threads_max() {
            self.has_work.notify_one();
            return None;
        }
        let shared = Arc::clone(shared);
        let spawned = thread::Builder::new().name("passwords".to_owned()).spawn(move || work(&shared));
        match spawned {
            Ok(_) => inside.threads += 1,
            Err(cause) => {
                error!(%cause, "no thread can be made to check passwords");
                if inside.threads == 0 {
                    inside.queue.clear();
                    return Some(CheckAnswer::Busy);
                }
            }
        }
        None
    }

    /// The next password to be checked. `None`: there has been none for a while, and the thread ends.
    fn next(&self) -> Option<Job> {
        let mut inside = self.inside();
        inside.idle += 1;
        while inside.queue.is_empty() {
            let (guard, wait) =
                self.has_work.wait_timeout(inside, IDLE_TIME).unwrap_or_else(PoisonError::into_inner);
            inside = guard;
            if wait.timed_out() && inside.queue.is_empty() {
                inside.threads -= 1;
                break;
            }
        }
        inside.idle -= 1;
        inside.queue.pop_front()
    }

    /// Whether the password of this user has yet to be hashed anew.
    fn begins_to_renew(&self, upgrade: &Upgrade) -> bool {
        self.inside().renewed.insert((Arc::clone(&upgrade.file), upgrade.user.clone()))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks passwords as long as there are some.
fn work(shared: &Shared) {
    while let Some(Job { shard, check, until }) = shared.passwords.next() {
        if until <= shared.now() {
            continue;
        }
        let id = check.connection;
        let mut answer = answer(shared, check);
        let upgrade = match &mut answer {
            CheckAnswer::Done(admission) => admission.upgrade.take(),
            CheckAnswer::Busy | CheckAnswer::TooManyAttempts => None,
        };
        tell(shared, shard, id, answer);
        if let Some(upgrade) = upgrade.filter(|upgrade| shared.passwords.begins_to_renew(upgrade)) {
            hash_anew(upgrade);
        }
    }
}

fn answer(shared: &Shared, PasswordCheck { address, user_name, work, .. }: PasswordCheck) -> CheckAnswer {
    let passwords = &shared.passwords;
    if !passwords.inside().attempts.allow(address, &user_name, shared.now()) {
        return CheckAnswer::TooManyAttempts;
    }
    let admission = work.run();
    let is_right = admission.decision.allowed;
    passwords.inside().attempts.note(address, &user_name, is_right, shared.now());
    CheckAnswer::Done(Box::new(admission))
}

fn hash_anew(upgrade: Upgrade) {
    let (user, file) = (upgrade.user.clone(), Arc::clone(&upgrade.file));
    match renew(upgrade) {
        Ok(true) => info!(?user, %file, "the password is kept as Argon2id from now on"),
        Ok(false) => {}
        Err(cause) => warn!(?user, %file, %cause, "the password cannot be kept as Argon2id"),
    }
}

fn tell(shared: &Shared, shard: ShardId, id: ConnectionId, answer: CheckAnswer) {
    shared.mailbox(shard).put([Parcel::Checked(Box::new((id, answer)))]);
}

/// Half as many threads as cores, so that those who guess leave the other half to those who are in.
fn threads_max() -> usize {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 2).clamp(1, THREADS_MAX)
}

/// Passwords that wait to be checked: some seconds of work.
const QUEUE_MAX: usize = 1024;
/// Each takes as much memory as a hash asks for, 19 MiB as ours do.
const THREADS_MAX: usize = 4;
/// A thread that had nothing to do for so long ends.
const IDLE_TIME: Duration = Duration::from_secs(10);
