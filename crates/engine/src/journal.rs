//! What a shard has to do with the journal: it waits for it, reads back from it, and says again what the
//! journal is about to forget.
//!
//! - **Waiting.** A promise is kept once the journal keeps everything up to where it reached when the promise was
//!   made. Promises are kept in the order in which they were made.
//! - **Reading back.** A session that is away, or far behind, leaves the contents it is owed to the journal. When
//!   their turn comes they are asked for, some hundred at a time, and come back as an input.
//! - **Saying again.** Before the oldest segment of the journal is freed, every shard records what its sessions
//!   still hold there, as it is at that moment: see [`restate`](crate::restate).

use crate::directory::{JournalState, Subscriber};
use crate::effects::Effects;
use crate::mail::Promise;
use crate::publish::Refusal;
use crate::route::Route;
use crate::shard::{Shard, Turn};
use hashbrown::HashSet;
use noctule_codec::ReasonCode;
use noctule_session::{DropReason, Durability, MessageNumber, Missing, Position, Publication, SessionNumber};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a shard wants of who keeps the journal.
#[derive(Clone, Debug)]
pub enum Request {
    /// Contents for a session, to be given to [`Shard::receive_contents`].
    Load {
        /// For whom.
        subscriber: Subscriber,
        /// Which.
        missing: Vec<Missing>,
    },
    /// Contents that are to be recorded anew, wherever they stand now; where that is, is to be given to
    /// [`Shard::receive_places`].
    Move {
        /// Which, and where they stand.
        contents: Vec<Missing>,
    },
    /// The parts of this message that have been recorded mean nothing: it was not accepted.
    Abandoned {
        /// Which message.
        message: MessageNumber,
    },
    /// Everything this shard still holds of what is to be forgotten has been recorded anew before this position.
    Restated {
        /// The position.
        position: Position,
    },
}

/// Content that was read back, or that the journal does not have any more.
#[derive(Clone, Debug)]
pub enum Content {
    /// The publication.
    Found(Arc<Publication>),
    /// It is damaged, or not there any more. In the latter case the session has learnt meanwhile where it is.
    Lost(Missing),
}

/// What a shard waits for.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    /// Where the journal reached when this shard last appended something.
    pub(crate) appended: Position,
    /// What waits for the kernel to have it, and what waits for the disk.
    os: Queue,
    disk: Queue,
    /// Wills among what waits.
    wills: usize,
    /// Clients whose sessions have ended, which the journal may not keep yet.
    ended: HashSet<Arc<str>>,
    /// This turn ends a session that the journal knows.
    ends_session: bool,
    /// Where the journal reached when such a turn was appended last.
    ended_before: Position,
}

/// What waits for the journal to get somewhere.
#[derive(Debug, Default)]
struct Queue {
    /// It has got here.
    kept: Position,
    waiting: VecDeque<(Position, Waiting)>,
}

/// What leaves once the records of its turn are kept.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// First the wills: the record that fires one also ends it, so that it is not fired again after a crash.
    pub(crate) wills: Vec<FiredWill>,
    /// Then the packets.
    pub(crate) promises: Vec<Promise>,
}

/// A will on its way to those who want it.
#[derive(Debug)]
pub(crate) struct FiredWill {
    pub(crate) message: Arc<Publication>,
    pub(crate) route: Arc<Route>,
    pub(crate) publisher: Option<SessionNumber>,
}

impl Waiting {
    /// What waits of a turn; nothing is left there.
    fn of(fx: &mut Effects) -> Self {
        Self { wills: std::mem::take(&mut fx.wills), promises: std::mem::take(&mut fx.promises) }
    }

    fn is_empty(&self) -> bool {
        self.wills.is_empty() && self.promises.is_empty()
    }

    /// Takes out the promises that need this much.
    fn split_off(&mut self, level: Durability) -> Self {
        let promises = self.promises.extract_if(.., |promise| promise.durability == level).collect();
        Self { wills: Vec::new(), promises }
    }
}

impl Queue {
    fn is_kept(&self, appended: Position) -> bool {
        appended <= self.kept && self.waiting.is_empty()
    }

    fn has_wills_before(&self, position: Position) -> bool {
        let mut before = self.waiting.iter().take_while(|(appended, _)| *appended <= position);
        before.any(|(_, waiting)| !waiting.wills.is_empty())
    }

    /// The next of what waits whose time has come.
    fn due(&mut self) -> Option<Waiting> {
        let kept = self.kept;
        self.waiting.pop_front_if(|(position, _)| *position <= kept).map(|(_, waiting)| waiting)
    }
}

impl Commits {
    /// Whether a will waits, which what comes now must not overtake.
    pub(crate) fn has_wills(&self) -> bool {
        self.wills > 0
    }

    /// A session that the journal knows ends.
    pub(crate) fn note_end(&mut self, client_id: &Arc<str>) {
        self.ends_session = true;
        self.ended.insert(Arc::clone(client_id));
    }

    /// The turn has been appended.
    pub(crate) fn note_appended(&mut self, level: Durability) {
        if std::mem::take(&mut self.ends_session) {
            self.ended_before = self.appended;
            self.forget_ends(level);
        }
    }

    fn forget_ends(&mut self, level: Durability) {
        if self.are_ends_kept(level) {
            self.ended = HashSet::new();
        }
    }

    /// Whether the end of a client's session may not be as safe as this: after a crash it would be there again, for
    /// a client that was told that it is not.
    pub(crate) fn has_ended(&self, client_id: &str, level: Durability) -> bool {
        !self.are_ends_kept(level) && self.ended.contains(client_id)
    }

    fn are_ends_kept(&self, level: Durability) -> bool {
        let queue = if level == Durability::Disk { &self.disk } else { &self.os };
        !self.ends_session && self.ended_before <= queue.kept
    }

    /// Whether a will waits whose record stands before this position.
    pub(crate) fn has_wills_before(&self, position: Position) -> bool {
        let queues = [&self.os, &self.disk];
        self.wills > 0 && queues.iter().any(|queue| queue.has_wills_before(position))
    }

    /// Takes what has to wait out of what a turn has brought about. Wills wait for as much as sessions do.
    fn hold_back(&mut self, leaving: &mut Waiting, level_of_wills: Durability) {
        for (queue, level) in [(&mut self.os, Durability::Os), (&mut self.disk, Durability::Disk)] {
            if queue.is_kept(self.appended) {
                continue;
            }
            let mut later = leaving.split_off(level);
            if level == level_of_wills {
                later.wills = std::mem::take(&mut leaving.wills);
            }
            if !later.is_empty() {
                self.wills += later.wills.len();
                queue.waiting.push_back((self.appended, later));
            }
        }
    }

    fn due(&mut self) -> Option<Waiting> {
        let waiting = self.disk.due().or_else(|| self.os.due())?;
        self.wills -= waiting.wills.len();
        Some(waiting)
    }
}

impl Refusal {
    /// Why something that would have to be recorded is refused, if it is.
    pub(crate) fn of_journal(state: JournalState) -> Option<Self> {
        let (reason_code, cause) = match state {
            JournalState::Open => return None,
            JournalState::Full => {
                (ReasonCode::QuotaExceeded, "the journal has no room (limits.journal_bytes_max or its disk)")
            }
            JournalState::Failing => {
                (ReasonCode::UnspecifiedError, "the journal cannot be written; the broker's log says why")
            }
        };
        Some(Self { reason_code, reason: DropReason::JournalFull, cause: cause.to_owned() })
    }
}

impl Shard {
    /// How far the journal has to be [committed](Self::committed), to the kernel or to the disk, until nothing
    /// waits for that any more.
    pub fn waits_for(&self, level: Durability) -> Option<Position> {
        let queue = match level {
            Durability::Memory => return None,
            Durability::Os => &self.commits.os,
            Durability::Disk => &self.commits.disk,
        };
        queue.waiting.back().map(|(position, _)| *position)
    }

    /// The kernel has the journal up to `written`, and the disk up to `durable`.
    pub fn committed(&mut self, written: Position, durable: Position, turn: &mut Turn<'_>) {
        self.commits.os.kept = self.commits.os.kept.max(written);
        self.commits.disk.kept = self.commits.disk.kept.max(durable);
        self.commits.forget_ends(self.limits.durability);
        while let Some(waiting) = self.commits.due() {
            self.let_leave(waiting, turn);
        }
    }

    /// Lets leave what this turn has brought about, now or once its records are kept. Says whether something has
    /// left, which may have brought about more.
    pub(crate) fn leave_when_kept(&mut self, turn: &mut Turn<'_>) -> bool {
        let mut waiting = Waiting::of(turn.fx);
        self.commits.hold_back(&mut waiting, self.limits.durability);
        let leaves = !waiting.is_empty();
        if leaves {
            self.let_leave(waiting, turn);
        }
        leaves
    }

    fn let_leave(&mut self, waiting: Waiting, turn: &mut Turn<'_>) {
        for FiredWill { message, route, publisher } in waiting.wills {
            self.deliver_publication(&route, message, publisher, turn);
        }
        self.keep_promises(waiting.promises, turn);
    }

    /// Contents that were asked for.
    pub fn receive_contents(&mut self, subscriber: Subscriber, contents: Vec<Content>, turn: &mut Turn<'_>) {
        let slot = subscriber.slot as usize;
        let Some(resident) = self.resident(subscriber) else { return };
        resident.is_loading = false;
        if resident.session.link.is_none() {
            return;
        }
        for content in contents {
            match content {
                Content::Found(message) => self.sessions[slot].session.outbound.load(&message),
                // It is dropped when its turn comes.
                Content::Lost(missing) => self.sessions[slot].session.outbound.lose(missing),
            }
        }
        self.transmit(slot, turn);
        // Also where more is being read: who is far behind would be answered late.
        self.let_ping_go(slot, turn);
    }

    /// Asks for the contents that a session is to send next, if they are not in memory.
    pub(crate) fn ask_for_contents(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let resident = &mut self.sessions[slot];
        let outbound = &mut resident.session.outbound;
        if resident.is_loading || resident.session.link.is_none() || !outbound.is_front_missing() {
            return;
        }
        resident.is_loading = true;
        let missing = resident.session.outbound.missing();
        let subscriber = self.subscriber(slot);
        turn.fx.requests.push(Request::Load { subscriber, missing });
    }

    /// Notes a session that may leave contents to the journal once they are recorded.
    pub(crate) fn let_go_later(&mut self, slot: usize) {
        let resident = &mut self.sessions[slot];
        if !resident.is_letting_go && resident.may_let_go() {
            resident.is_letting_go = true;
            let number = resident.session.number;
            self.letting_go.push((number, slot));
        }
    }

    /// Lets sessions leave contents to the journal, which has them now.
    pub(crate) fn let_go(&mut self) {
        for (number, slot) in std::mem::take(&mut self.letting_go) {
            let resident = self.sessions.get_mut(slot).filter(|it| it.session.number == number);
            let Some(resident) = resident else { continue };
            resident.is_letting_go = false;
            resident.session.let_go(&mut self.session_fx.done);
            for message in self.session_fx.done.drain(..) {
                self.publications.give_back(message);
            }
        }
    }
}
