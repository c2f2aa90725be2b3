//! What a restart knows: the records of the journal, applied one after the other.
//!
//! - A session changes only by [`Session::apply`], with the same changes as while it lived.
//! - Contents stay in the journal. Only retained messages are kept; all else that is owed knows its position.
//! - Reclaim says again at the end of the journal what still counts of its beginning. So a record may tell of a
//!   session that is opened, or of a group that is named, only later. Both are kept until [`Replay::finish`],
//!   where what was never opened or named turns out to have ended long ago.
//! - Every record is applied in a time that does not depend on how much is owed already.

mod groups;
mod phases;
mod retained;
mod sessions;
#[cfg(test)]
mod tests;

pub use groups::RememberedGroup;
pub use phases::{Given, RememberedPhase};
pub use sessions::RememberedSession;

use crate::{Frame, FrameTarget, Record, RecordError};
use groups::Groups;
use hashbrown::HashMap;
use noctule_session::{
    Delivered, GroupNumber, Instant, MessageNumber, Phase, Position, Publication, SessionChange,
    SessionNumber,
};
use retained::Retained;
use sessions::Replayed;
use std::sync::Arc;

/// Builds what the records say.
#[derive(Debug, Default)]
pub struct Replay {
    sessions: HashMap<SessionNumber, Replayed>,
    retained: Retained,
    groups: Groups,
    spans: Vec<Span>,
    seen: Seen,
}

/// What the records said.
#[derive(Debug)]
pub struct Remembered {
    /// The sessions, in the order of their numbers. Two of them may have the same client id, if the broker stopped
    /// while one took the other's place; the higher number is the later one.
    pub sessions: Vec<RememberedSession>,
    /// The retained messages, in the order of their numbers, each with the position where it was recorded last.
    pub retained: Vec<Arc<Publication>>,
    /// The shared groups.
    pub groups: Vec<RememberedGroup>,
    /// Contents that stand in several places.
    pub spans: Vec<Span>,
    /// The highest number of a message in any record; 0 if there is none.
    pub last_message: u64,
    /// The highest number of a session.
    pub last_session: u64,
    /// The highest number of a group.
    pub last_group: u64,
    /// The latest time at which something recorded happened. It is never earlier after a restart.
    pub latest: Instant,
}

/// A content that stands in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of which message.
    pub message: MessageNumber,
    /// Where its first part stands.
    pub first: Position,
    /// Where the record stands that says so, behind all parts.
    pub record: Position,
}

impl Span {
    /// Of a message whose record stands here, if its payload stands in parts.
    #[inline]
    pub fn of(message: &Publication, record: Position) -> Option<Self> {
        let first = *message.parts.as_ref()?.places.first()?;
        Some(Self { message: message.number, first, record })
    }
}

impl Replay {
    /// Applies the records of the frame at this position.
    ///
    /// # Errors
    /// The records are not what this version writes.
    pub fn apply_frame(&mut self, position: Position, body: &[u8]) -> Result<(), RecordError> {
        let mut rest = body;
        while !rest.is_empty() {
            let (record, behind) = Record::decode(rest)?;
            self.apply(position, record);
            rest = behind;
        }
        Ok(())
    }

    /// Applies the next record, which stands in the frame at this position.
    pub fn apply(&mut self, position: Position, record: Record) {
        match record {
            Record::Published(frame) => self.publish(position, *frame),
            Record::Part(part) => self.seen.message(part.message),
            Record::Moved(message) => {
                self.seen.publication(&message);
                self.note_span(&message, position);
            }
            Record::Retained(message) => {
                self.seen.publication(&message);
                self.retained.set(&message, position);
            }
            Record::SessionOpened { session, client_id, user_name, origin } => {
                self.session(session).open(client_id, user_name, *origin);
            }
            Record::Session { session, change } => self.change(session, change),
            Record::SessionDetached { session, at } => {
                self.seen.instant(at);
                self.session(session).detach(at);
            }
            Record::SessionEnded { session } => {
                self.seen.session(session);
                self.sessions.remove(&session);
            }
            Record::GroupNamed { group, share_name, filter } => {
                self.seen.group(group);
                self.groups.name(group, share_name, filter);
            }
            Record::GroupOwed { group, message } => {
                self.seen.publication(&message);
                self.seen.group(group);
                self.groups.owe(group, message.number, position);
            }
            Record::GroupTaken { session, delivered } => self.take(session, delivered),
            Record::GroupReturned { group, message } => {
                let holder = self.groups.give_back(group, message);
                self.end_in_group(group, message, holder);
            }
            Record::GroupDropped { group, message } => {
                let holder = self.groups.remove(group, message);
                self.end_in_group(group, message, holder);
            }
        }
    }

    /// What is there once all records are applied.
    pub fn finish(self) -> Remembered {
        let Self { sessions, retained, groups, spans, seen } = self;
        let sessions = sessions.into_iter().filter_map(|(_, session)| session.finish());
        let mut sessions: Vec<RememberedSession> = sessions.collect();
        let number = |session: &RememberedSession| session.session.number;
        sessions.sort_unstable_by_key(number);
        let groups = groups.finish(|holder| sessions.binary_search_by_key(&holder, number).is_ok());
        let Seen { message, session, group, latest } = seen;
        Remembered {
            sessions,
            retained: retained.finish(),
            groups,
            spans,
            last_message: message,
            last_session: session,
            last_group: group,
            latest,
        }
    }

    /// A publication with everything it brings about.
    fn publish(&mut self, position: Position, frame: Frame) {
        let Frame { message, inbound, retained, will_of, owed, groups } = frame;
        self.seen.publication(&message);
        self.note_span(&message, position);
        let (number, bytes) = (message.number, message.queue_bytes());
        for target in owed {
            let FrameTarget { session, qos, retain, subscription_ids } = target;
            let (group, phase, packet_id, behind, is_maybe_sent) = (None, Phase::Waiting, None, None, false);
            let delivered = Delivered {
                number,
                bytes,
                qos,
                retain,
                subscription_ids,
                group,
                phase,
                packet_id,
                behind,
                is_maybe_sent,
            };
            let delivered = Box::new(delivered);
            self.session(session).apply(&SessionChange::Held { delivered, position });
        }
        for group in groups {
            self.seen.group(group);
            self.groups.owe(group, number, position);
        }
        if let Some((session, packet_id)) = inbound {
            self.session(session).apply(&SessionChange::InboundTaken { packet_id });
        }
        if let Some(session) = will_of {
            self.session(session).apply(&SessionChange::WillSet { will: None });
        }
        if retained {
            self.retained.set(&message, position);
        }
    }

    fn note_span(&mut self, message: &Publication, record: Position) {
        self.spans.extend(Span::of(message, record));
    }

    fn change(&mut self, number: SessionNumber, change: SessionChange) {
        let change = without_content(change);
        self.seen.change(&change);
        let session = self.session(number);
        let settled = session.settles_for_group(&change);
        session.note(&change);
        session.apply(&change);
        if let Some((group, message)) = settled {
            self.groups.settle(group, message, number);
        }
        if let SessionChange::Held { delivered, position } = change
            && let Some(group) = delivered.group
        {
            self.groups.hold(group, delivered.number, number, position);
        }
    }

    /// A member of a group takes what the group is owed.
    fn take(&mut self, number: SessionNumber, delivered: Delivered) {
        self.seen.delivered(&delivered);
        let give = |group| self.groups.give(group, delivered.number, number);
        let position = delivered.group.map_or(Position::NOWHERE, give);
        let delivered = Box::new(delivered);
        self.session(number).apply(&SessionChange::Held { delivered, position });
    }

    /// What a member held of a group is no longer the member's.
    fn end_in_group(&mut self, group: GroupNumber, message: MessageNumber, holder: Option<SessionNumber>) {
        self.seen.group(group);
        self.seen.message(message);
        if let Some(session) = holder.and_then(|holder| self.sessions.get_mut(&holder)) {
            session.lose(group, message);
        }
    }

    /// The session with this number, which may be opened by a later record.
    fn session(&mut self, number: SessionNumber) -> &mut Replayed {
        self.seen.session(number);
        self.sessions.entry(number).or_insert_with(|| Replayed::new(number))
    }
}

/// The highest numbers and the latest time so far.
#[derive(Debug, Default)]
struct Seen {
    message: u64,
    session: u64,
    group: u64,
    latest: Instant,
}

impl Seen {
    fn publication(&mut self, message: &Publication) {
        self.message(message.number);
        self.instant(message.published_at);
    }

    fn message(&mut self, number: MessageNumber) {
        self.message = self.message.max(number.0);
    }

    fn session(&mut self, number: SessionNumber) {
        self.session = self.session.max(number.0);
    }

    fn group(&mut self, number: GroupNumber) {
        self.group = self.group.max(number.0);
    }

    fn instant(&mut self, at: Instant) {
        self.latest = self.latest.max(at);
    }

    fn delivered(&mut self, delivered: &Delivered) {
        self.message(delivered.number);
        delivered.group.into_iter().for_each(|group| self.group(group));
    }

    fn change(&mut self, change: &SessionChange) {
        match change {
            SessionChange::Held { delivered, .. } => self.delivered(delivered),
            SessionChange::Begun { message, .. } | SessionChange::Settled { message, .. } => {
                self.message(*message);
            }
            _ => {}
        }
    }
}

/// A retained message that was given to a session stays in the journal, as do the contents of all deliveries.
fn without_content(change: SessionChange) -> SessionChange {
    match change {
        SessionChange::Owed { message, qos, retain, subscription_ids, group } => SessionChange::Held {
            delivered: Box::new(Delivered {
                number: message.number,
                bytes: message.queue_bytes(),
                qos,
                retain,
                subscription_ids,
                group,
                phase: Phase::Waiting,
                packet_id: None,
                behind: None,
                is_maybe_sent: false,
            }),
            position: message.position(),
        },
        other => other,
    }
}
