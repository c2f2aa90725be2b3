//! Saying again what the journal is about to forget.
//!
//! The journal frees its oldest segment, and nothing else. Before it does, every shard walks over its sessions
//! twice, in slices. The first walk finds the contents that its sessions are owed and that stand in front of the
//! limit; whoever keeps the journal records them anew and says where. The second walk records, session by
//! session, what is still owed at that moment and the session's own state, if that stands in front of the limit.
//! A slice is the last thing of its turn, so what it says is true at its place in the journal.
//!
//! One shard does the same for the retained messages and for what shared groups are owed, whose contents are in
//! memory.

use crate::Record;
use crate::directory::Directory;
use crate::journal::Request;
use crate::shard::{Shard, Turn};
use hashbrown::HashMap;
use noctule_session::{MessageNumber, Missing, Phase, Position, Session, SessionChange};
use noctule_topic::{ParsedFilter, RetainedCursor, Subscription};
use std::ops::ControlFlow;

/// One round of it.
#[derive(Debug)]
pub(crate) struct Restating {
    /// What stands in front of this is about to be forgotten.
    before: Position,
    step: Step,
    /// Contents that were found and not yet asked to be moved, by number.
    found: HashMap<MessageNumber, Position>,
    /// Where they stand now.
    places: HashMap<MessageNumber, Position>,
}

#[derive(Debug)]
enum Step {
    /// Finding contents, from the session at this place on.
    Finding(usize),
    /// The contents are being moved.
    Moving,
    /// Recording sessions, from the one at this place on.
    Sessions(usize),
    /// Recording retained messages.
    Retained(Box<[RetainedCursor; 2]>),
    /// Done; where the journal reaches behind it is to be told.
    Done,
}

impl Shard {
    /// Begins to record anew everything of this shard that stands before this position in the journal; the first
    /// shard records the retained messages as well. The end is told by [`Request::Restated`].
    pub fn restate(&mut self, before: Position) {
        let (found, places) = (HashMap::new(), HashMap::new());
        self.restating = Some(Box::new(Restating { before, step: Step::Finding(0), found, places }));
    }

    /// Whether there is something to be recorded anew in this turn.
    pub fn has_to_restate(&self) -> bool {
        self.restating.as_ref().is_some_and(|restating| !matches!(restating.step, Step::Moving))
    }

    /// Where contents stand that were to be moved.
    pub fn receive_places(&mut self, places: impl IntoIterator<Item = (MessageNumber, Position)>) {
        if let Some(restating) = &mut self.restating {
            restating.places.extend(places);
            restating.step = Step::Sessions(0);
        }
    }

    /// The slice of a turn, behind everything else that the turn records.
    pub(crate) fn restate_slice(&mut self, turn: &mut Turn<'_>) {
        let Some(mut restating) = self.restating.take() else { return };
        let mut work = WORK_PER_SLICE;
        let is_done = loop {
            restating.step = match restating.step {
                Step::Finding(from) => self.find_contents(&mut restating, from, &mut work, turn),
                Step::Sessions(from) => self.restate_sessions(&restating, from, &mut work, turn),
                Step::Retained(cursors) => restate_retained(cursors, restating.before, &mut work, turn),
                Step::Moving => Step::Moving,
                Step::Done => break true,
            };
            if work == 0 || matches!(restating.step, Step::Moving) {
                break false;
            }
        };
        match is_done {
            true => turn.fx.is_restated = true,
            false => self.restating = Some(restating),
        }
    }

    fn find_contents(
        &mut self,
        restating: &mut Restating,
        from: usize,
        work: &mut usize,
        turn: &mut Turn<'_>,
    ) -> Step {
        let before = restating.before;
        let mut next = from;
        while let Some(slot) = self.sessions.next_from(next) {
            if *work == 0 {
                return Step::Finding(slot);
            }
            next = slot + 1;
            let outbound = &self.sessions[slot].session.outbound;
            *work = work.saturating_sub(1 + outbound.len() / OWED_PER_WORK);
            let needed = outbound.recorded_before(before).filter(|owed| owed.phase() != Phase::Received);
            restating.found.extend(needed.map(|owed| (owed.number, owed.position())));
        }
        if restating.found.is_empty() {
            return Step::Sessions(0);
        }
        let mut contents: Vec<Missing> = std::mem::take(&mut restating.found)
            .into_iter()
            .map(|(number, position)| Missing { number, position })
            .collect();
        contents.sort_unstable_by_key(|content| (content.position, content.number));
        turn.fx.requests.push(Request::Move { contents });
        Step::Moving
    }

    fn restate_sessions(
        &mut self,
        restating: &Restating,
        from: usize,
        work: &mut usize,
        turn: &mut Turn<'_>,
    ) -> Step {
        let mut next = from;
        while let Some(slot) = self.sessions.next_from(next) {
            if *work == 0 {
                return Step::Sessions(slot);
            }
            let owed = self.sessions[slot].session.outbound.len();
            *work = work.saturating_sub(1 + owed / OWED_PER_WORK);
            if !self.restate_session(slot, restating, turn) {
                *work = 0;
                return Step::Sessions(slot);
            }
            next = slot + 1;
        }
        match self.config.id.0 {
            0 => Step::Retained(Box::new([RetainedCursor::of_all(false), RetainedCursor::of_all(true)])),
            _ => Step::Done,
        }
    }

    /// Records what of a session stands before the limit: its own state, and what it is owed. Says whether that
    /// is all.
    fn restate_session(&mut self, slot: usize, restating: &Restating, turn: &mut Turn<'_>) -> bool {
        let before = restating.before;
        let appended = self.commits.appended;
        let resident = &mut self.sessions[slot];
        if !resident.is_recorded {
            return true;
        }
        let is_state_old = resident.recorded_at < before;
        let records = &mut turn.fx.records;
        if is_state_old {
            let user_name = resident.identity.user_name.clone();
            records.push(Record::SessionOpened {
                session: resident.session.number,
                client_id: resident.session.client_id.clone(),
                user_name,
            });
            resident.recorded_at = appended.max(before);
            name_groups(&resident.session, turn.directory, records);
            state(&resident.session, |filter| resident.retained.has(filter), records);
            if resident.session.link.is_none() {
                let at = resident.session.detached_at().unwrap_or(turn.now);
                records.push(Record::SessionDetached { session: resident.session.number, at });
            }
        }
        let session = resident.session.number;
        let place = |number: MessageNumber| restating.places.get(&number).copied();
        let records_before = records.len();
        for owed in resident.session.outbound.recorded_before(before).take(OWED_PER_SLICE) {
            let position = place(owed.number).unwrap_or(before);
            let change = SessionChange::Held { delivered: owed.delivered(), position };
            records.push(Record::Session { session, change });
        }
        resident.session.outbound.move_up(before, OWED_PER_SLICE, place);
        records.len() - records_before < OWED_PER_SLICE
    }
}

/// What the groups of a session are called in the journal.
fn name_groups(session: &Session, directory: &Directory, records: &mut Vec<Record>) {
    for text in session.subscriptions.filters().filter(|filter| filter.starts_with("$share/")) {
        let Ok(ParsedFilter { share_name: Some(share_name), filter }) = Subscription::parse(text) else {
            continue;
        };
        let filter: Box<str> = filter.as_str().into();
        let number = directory.groups.read(|groups| groups.number(&share_name, &filter));
        records.extend(number.map(|group| Record::GroupNamed { group, share_name, filter }));
    }
}

/// What makes a session of nothing, but for what it is owed.
fn state(session: &Session, brings_retained: impl Fn(&str) -> bool, records: &mut Vec<Record>) {
    let number = session.number;
    let mut record = |change| records.push(Record::Session { session: number, change });
    let session_expiry_interval = session.session_expiry_interval;
    record(SessionChange::ExpirySet { session_expiry_interval });
    record(SessionChange::WillSet { will: session.will.clone() });
    record(SessionChange::IdsReserved { up_to: session.outbound.last_reserved_id() });
    for packet_id in session.inbound.iter() {
        record(SessionChange::InboundTaken { packet_id });
    }
    for (filter, subscription) in session.subscriptions.iter() {
        let brings_retained = brings_retained(filter);
        record(SessionChange::Subscribed { filter: filter.into(), subscription, brings_retained });
    }
}

/// Finds retained messages that stand before the limit. They are recorded at the end of the turn, while nobody
/// changes the tree, if they are still retained then.
fn restate_retained(
    mut cursors: Box<[RetainedCursor; 2]>,
    before: Position,
    work: &mut usize,
    turn: &mut Turn<'_>,
) -> Step {
    let Turn { directory, fx, .. } = turn;
    let directory: &Directory = directory;
    let visits = (*work).min(RETAINED_VISITS);
    for cursor in cursors.iter_mut().filter(|cursor| !cursor.is_done()) {
        directory.retained.read(|retained| {
            cursor.advance(retained, visits, |_, message| {
                let position = message.place.get().max(message.kept.get());
                if position.is_somewhere() && position < before {
                    fx.retained_again.push(message.clone());
                }
                ControlFlow::Continue(())
            })
        });
        *work = work.saturating_sub(visits);
        return Step::Retained(cursors);
    }
    *work = work.saturating_sub(1);
    fx.debts_again = Some(before);
    Step::Done
}

/// Sessions that a slice looks at, about 1 ms.
const WORK_PER_SLICE: usize = 2048;
/// Deliveries that are looked at in the time of one session.
const OWED_PER_WORK: usize = 16;
/// Deliveries of one session that a slice records.
const OWED_PER_SLICE: usize = 4096;
/// Nodes of the retained tree looked at in one go.
const RETAINED_VISITS: usize = 256;
