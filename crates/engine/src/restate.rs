//! Saying again what the journal is about to forget.
//!
//! The journal frees its oldest segment, and nothing else. Before it does, the first shard records the retained
//! messages, and what shared groups are owed, that stand in front of the limit; their contents are in memory. Then
//! every shard walks over its sessions, batch by batch. It finds the contents that they are owed and that stand in
//! front of the limit; whoever keeps the journal records them anew and says where. Then the shard records what is
//! still owed of the batch at that moment, and the state of its sessions where that stands in front of the limit. A
//! step is the last thing of its turn, so what it says is true at its place in the journal.
//!
//! The deliveries of a session are said from the last batch to the first; within a batch what was sent in its order,
//! then what waits from the last to the first. After a restart each then joins the one that was sent before it, or the
//! front of what stands behind the limit.
//!
//! A subscription that is bringing retained messages has only its place in their tree in memory. Which messages it has
//! brought is found by walking there again, slice by slice, behind the record that says that it goes on.
//!
//! Nothing that stands in front of the limit may come to a session behind the walk. So no shard begins it before all
//! have sent what they owe to others of that: the wills that waited for the journal, and everything in front of
//! [`Mail::AllSent`]. What a session takes of the retained messages or of a group after that stands where the first
//! shard has recorded it.

use crate::directory::Directory;
use crate::journal::Request;
use crate::resident::Resident;
use crate::retained_phases::RetainedPhase;
use crate::shard::{Shard, Turn};
use crate::subscribe::SHARE;
use crate::{Mail, Record, ShardId};
use hashbrown::HashMap;
use noctule_codec::QoS;
use noctule_session::{MessageNumber, Missing, Position, Session, SessionChange, SessionNumber};
use noctule_topic::{ParsedFilter, RetainedCursor, Subscription};
use std::ops::ControlFlow;
use std::sync::Arc;

/// One round of it.
#[derive(Debug)]
pub(crate) struct Restating {
    /// What stands in front of this is about to be forgotten.
    before: Position,
    step: Step,
    /// Where to go on finding.
    from: Place,
    /// Sessions with something to say.
    batch: Vec<Part>,
    /// Contents of the batch, and where they stand now.
    places: HashMap<MessageNumber, Position>,
    /// Subscriptions of the batch that have brought some of their retained messages.
    giving: Vec<Giving>,
}

#[derive(Debug)]
enum Step {
    /// Wills that stand in front of the limit wait for the journal.
    Sending,
    /// Recording retained messages.
    Retained(Box<[RetainedCursor; 2]>),
    /// Telling the other shards that everything has been sent.
    Telling,
    /// Waiting until all others have told the same.
    Gathering,
    /// Finding what the next batch needs.
    Finding,
    /// The contents of the batch are being moved.
    Moving,
    /// Recording the batch.
    Saying,
    /// Recording which retained messages its subscriptions have brought.
    Giving,
    /// Done; where the journal reaches behind it is to be told.
    Done,
}

/// How far the finding has come.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: usize,
    /// Deliveries of that session from this one on have been seen to.
    below: usize,
}

/// What is to be said of one session.
#[derive(Clone, Copy, Debug)]
struct Part {
    slot: usize,
    session: SessionNumber,
    below: usize,
    deliveries: usize,
}

/// What is to be said of a subscription that brings its retained messages. It goes on with that meanwhile, and what it
/// brings then is recorded behind the state of its session.
#[derive(Debug)]
struct Giving {
    slot: usize,
    session: SessionNumber,
    filter: Arc<str>,
    /// What it has brought before a restart.
    earlier: Vec<MessageNumber>,
    /// Finds what it has brought since.
    cursor: RetainedCursor,
}

impl Shard {
    /// Begins to record anew everything of this shard that stands before this position in the journal; the first
    /// shard records the retained messages as well. The end is told by [`Request::Restated`].
    pub fn restate(&mut self, before: Position) {
        self.restating = Some(Box::new(Restating {
            before,
            step: Step::Sending,
            from: Place { slot: 0, below: usize::MAX },
            batch: Vec::new(),
            places: HashMap::new(),
            giving: Vec::new(),
        }));
    }

    /// Another shard has sent everything in front of the limit. It may know of the limit earlier than this one.
    pub(crate) fn receive_all_sent(&mut self) {
        self.all_sent += 1;
    }

    /// Whether there is something to be recorded anew in this turn.
    pub fn has_to_restate(&self) -> bool {
        self.restating.as_ref().is_some_and(|restating| !self.is_waiting(restating))
    }

    /// Where contents stand that were to be moved. What is in none of these places is lost.
    pub fn receive_places(&mut self, places: impl IntoIterator<Item = (MessageNumber, Position)>) {
        if let Some(restating) = &mut self.restating {
            restating.places.extend(places);
            restating.step = Step::Saying;
        }
    }

    /// The step of a turn, behind everything else that the turn records.
    pub(crate) fn restate_step(&mut self, turn: &mut Turn<'_>) {
        if !self.has_to_restate() {
            return;
        }
        let Some(mut restating) = self.restating.take() else { return };
        restating.step = match restating.step {
            Step::Sending if self.config.id == ShardId(0) => Step::Retained(Box::new(all_retained())),
            Step::Sending => Step::Telling,
            Step::Retained(cursors) => restate_retained(cursors, restating.before, turn),
            Step::Telling => self.tell_all_sent(turn),
            Step::Gathering => {
                self.all_sent = 0;
                Step::Finding
            }
            Step::Finding => self.find_batch(&mut restating, turn),
            Step::Moving => Step::Moving,
            Step::Saying => self.say_batch(&mut restating, turn),
            Step::Giving => self.say_given(&mut restating.giving, turn),
            Step::Done => {
                turn.fx.is_restated = true;
                return;
            }
        };
        self.restating = Some(restating);
    }

    /// Whether the next step is not for this shard to take.
    fn is_waiting(&self, restating: &Restating) -> bool {
        match restating.step {
            Step::Sending => self.commits.has_wills_before(restating.before),
            Step::Gathering => self.all_sent + 1 < self.config.shards,
            Step::Moving => true,
            _ => false,
        }
    }

    /// Tells every other shard, behind what it has been sent.
    fn tell_all_sent(&self, turn: &mut Turn<'_>) -> Step {
        let others = (0..self.config.shards).map(ShardId).filter(|shard| *shard != self.config.id);
        others.for_each(|shard| turn.fx.mail_to(shard, Mail::AllSent));
        Step::Gathering
    }

    /// Finds sessions with something that stands before the limit, until the batch is full.
    fn find_batch(&mut self, restating: &mut Restating, turn: &mut Turn<'_>) -> Step {
        let mut seen = 0;
        let Restating { before, from, batch, places, .. } = restating;
        batch.clear();
        places.clear();
        let mut contents = Vec::new();
        while let Some(slot) = self.sessions.next_from(from.slot) {
            if slot != from.slot {
                *from = Place { slot, below: usize::MAX };
            }
            let is_full = contents.len() >= BATCH_CONTENTS || seen >= BATCH_SESSIONS;
            if is_full {
                break;
            }
            seen += 1;
            let resident = &self.sessions[slot];
            let room = BATCH_CONTENTS - contents.len();
            let part = find_part(slot, resident, *before, from, room, &mut contents);
            if part.deliveries > 0 || resident.is_old(*before) {
                batch.push(part);
            }
        }
        let is_done = self.sessions.next_from(from.slot).is_none();
        match (contents.is_empty(), batch.is_empty()) {
            (false, _) => {
                // Until it is said where one is, it is lost.
                places.extend(contents.iter().map(|content| (content.number, *before)));
                contents.sort_unstable_by_key(|content| (content.position, content.number));
                turn.fx.requests.push(Request::Move { contents });
                Step::Moving
            }
            (true, false) => Step::Saying,
            (true, true) if is_done => Step::Done,
            (true, true) => Step::Finding,
        }
    }

    fn say_batch(&mut self, restating: &mut Restating, turn: &mut Turn<'_>) -> Step {
        let appended = self.commits.appended;
        let Restating { before, batch, places, giving, .. } = restating;
        let Turn { now, directory, fx } = turn;
        for part in batch.drain(..) {
            let resident = self.sessions.get_mut(part.slot);
            let resident = resident.filter(|resident| resident.session.number == part.session);
            let Some(resident) = resident else { continue };
            if resident.is_old(*before) {
                resident.recorded_at = appended.max(*before);
                say_state(resident, *now, directory, &mut fx.records);
                giving.extend(Giving::of(part.slot, resident));
            }
            let place = |number| places.get(&number).copied();
            let say = |delivered, position| {
                let change = SessionChange::Held { delivered: Box::new(delivered), position };
                fx.records.push(Record::Session { session: part.session, change });
            };
            resident.session.outbound.move_up(*before, part.below, part.deliveries, place, say);
        }
        Step::Giving
    }

    /// Says some of the retained messages that subscriptions have brought.
    fn say_given(&mut self, all: &mut Vec<Giving>, turn: &mut Turn<'_>) -> Step {
        let Some(giving) = all.last_mut() else { return Step::Finding };
        let resident = self.sessions.get_mut(giving.slot);
        let resident = resident.filter(|resident| resident.session.number == giving.session);
        // Once it has brought them all, or is gone, nothing is left to be known.
        let phase = resident.and_then(|resident| resident.retained.iter().next());
        let phase = phase.filter(|(filter, _)| **filter == giving.filter);
        let Some(messages) = phase.and_then(|(_, phase)| giving.next(phase, turn.directory)) else {
            all.pop();
            return Step::Giving;
        };
        if !messages.is_empty() {
            let change = SessionChange::RetainedGiven { filter: (&*giving.filter).into(), messages };
            turn.fx.records.push(Record::Session { session: giving.session, change });
        }
        Step::Giving
    }
}

impl Giving {
    /// Of the first of a session's subscriptions that bring retained messages; the others have not begun.
    fn of(slot: usize, resident: &Resident) -> Option<Self> {
        let session = &resident.session;
        let (filter, phase) = resident.retained.iter().next().filter(|_| session.is_durable())?;
        Some(Self {
            slot,
            session: session.number,
            filter: Arc::clone(filter),
            earlier: phase.given.iter().collect(),
            cursor: phase.cursor.from_the_start(),
        })
    }

    /// The next messages that were brought; nothing once these were all.
    fn next(&mut self, phase: &RetainedPhase, directory: &Directory) -> Option<Box<[MessageNumber]>> {
        if !self.earlier.is_empty() {
            let from = self.earlier.len().saturating_sub(BATCH_CONTENTS);
            return Some(self.earlier.split_off(from).into());
        }
        let mut messages = Vec::new();
        let is_done = directory.retained.read(|retained| {
            self.cursor.follow(&phase.cursor, retained, RETAINED_VISITS, |_, message| {
                // At QoS 0 nothing is promised.
                if message.qos.min(phase.subscription.options.qos) > QoS::AtMostOnce {
                    messages.push(message.number);
                }
            })
        });
        (!is_done || !messages.is_empty()).then_some(messages.into())
    }
}

impl Resident {
    /// Whether what the journal knows of its state stands before this position.
    fn is_old(&self, before: Position) -> bool {
        self.is_recorded && self.recorded_at < before
    }
}

/// Finds what a session is owed and stands before the limit, from the last delivery to the first; `from` is where to
/// go on.
fn find_part(
    slot: usize,
    resident: &Resident,
    before: Position,
    from: &mut Place,
    contents_max: usize,
    contents: &mut Vec<Missing>,
) -> Part {
    let session = &resident.session;
    let mut part = Part { slot, session: session.number, below: from.below, deliveries: 0 };
    // A session that ends with its connection is known for its will alone, but what it was owed before it was
    // resumed like this may have its contents in the journal alone.
    let below = if session.is_durable() || session.outbound.has_missing() { from.below } else { 0 };
    for (place, owed) in session.outbound.recorded_before(before, below) {
        if part.deliveries == contents_max {
            return part;
        }
        part.deliveries += 1;
        from.below = place;
        if owed.is_content_recorded() {
            contents.push(Missing { number: owed.number, position: owed.position() });
        }
    }
    *from = Place { slot: slot + 1, below: usize::MAX };
    part
}

/// What makes a session of nothing, but for what it is owed.
fn say_state(
    resident: &Resident,
    now: noctule_session::Instant,
    directory: &Directory,
    records: &mut Vec<Record>,
) {
    let session = &resident.session;
    let number = session.number;
    records.push(Record::SessionOpened {
        session: number,
        client_id: session.client_id.clone(),
        user_name: resident.identity.user_name.clone(),
        origin: Box::new(resident.identity.origin.clone()),
    });
    let mut record = |change| records.push(Record::Session { session: number, change });
    let session_expiry_interval = session.session_expiry_interval;
    record(SessionChange::ExpirySet { session_expiry_interval });
    record(SessionChange::WillSet { will: session.will.clone() });
    if session.is_durable() {
        say_groups(session, directory, records);
        say_what_outlives_connections(resident, records);
    }
    if session.link.is_none() {
        let at = session.detached_at().unwrap_or(now);
        records.push(Record::SessionDetached { session: number, at });
    }
}

/// What of a session's state counts only where it outlives its connection.
fn say_what_outlives_connections(resident: &Resident, records: &mut Vec<Record>) {
    let session = &resident.session;
    let mut record = |change| records.push(Record::Session { session: session.number, change });
    record(SessionChange::IdsReserved { up_to: session.outbound.last_reserved_id() });
    for packet_id in session.inbound.iter() {
        record(SessionChange::InboundTaken { packet_id });
    }
    for (filter, subscription) in session.subscriptions.iter() {
        // Their retained messages do not begin anew.
        record(SessionChange::Subscribed { filter: filter.into(), subscription, brings_retained: false });
    }
    for (filter, _) in resident.retained.iter() {
        record(SessionChange::RetainedGiven { filter: (&**filter).into(), messages: [].into() });
    }
}

/// What the groups of a session are called in the journal.
fn say_groups(session: &Session, directory: &Directory, records: &mut Vec<Record>) {
    for text in session.subscriptions.filters().filter(|filter| filter.starts_with(SHARE)) {
        let Ok(ParsedFilter { share_name: Some(share_name), filter }) = Subscription::parse(text) else {
            continue;
        };
        let filter: Box<str> = filter.as_str().into();
        let number = directory.groups.read(|groups| groups.number(&share_name, &filter));
        records.extend(number.map(|group| Record::GroupNamed { group, share_name, filter }));
    }
}

/// Finds retained messages that stand before the limit. They are recorded at the end of the turn, while nobody
/// changes the tree, if they are still retained then.
fn restate_retained(mut cursors: Box<[RetainedCursor; 2]>, before: Position, turn: &mut Turn<'_>) -> Step {
    let Turn { directory, fx, .. } = turn;
    let directory: &Directory = directory;
    let Some(cursor) = cursors.iter_mut().find(|cursor| !cursor.is_done()) else {
        fx.debts_again = Some(before);
        return Step::Telling;
    };
    directory.retained.read(|retained| {
        cursor.advance(retained, RETAINED_VISITS, |_, message| {
            let position = message.position();
            if position.is_somewhere() && position < before {
                fx.retained_again.push(message.clone());
            }
            ControlFlow::Continue(())
        })
    });
    Step::Retained(cursors)
}

fn all_retained() -> [RetainedCursor; 2] {
    [RetainedCursor::of_all(false), RetainedCursor::of_all(true)]
}

/// Contents that are moved at once: what is said of them is a fraction of a megabyte and a few milliseconds.
const BATCH_CONTENTS: usize = 4096;
/// Sessions that are looked at in one step.
const BATCH_SESSIONS: usize = 2048;
/// Nodes of the retained tree looked at in one step.
const RETAINED_VISITS: usize = 256;
