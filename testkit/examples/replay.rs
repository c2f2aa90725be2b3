//! Measures how fast a restart applies the records of the journal.
//!
//! `cargo run --release -p noctule-testkit --example replay` prints a line per story: its name, records, bytes,
//! seconds to read and apply them all, and records per second.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use noctule_codec::{PacketId, Properties, QoS};
use noctule_engine::{Frame, FrameTarget, Record, Remembered, Replay};
use noctule_session::{
    Delivered, DropReason, GroupNumber, Instant, MessageNumber, Phase, Place, Position, Publication,
    SessionChange, SessionNumber, Settlement, SubscriptionIds,
};
use std::sync::Arc;

/// That of the broker.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let stories: [(&str, Tell); 6] = [
        ("1,000,000 messages owed to 100,000 sessions", owed_to_many),
        ("1,000,000 messages owed to one session", owed_to_one),
        ("1,000,000 messages for a queue of 100,000 that is full", refused),
        ("1,000,000 messages sent through a window of 1,024", sent),
        ("1,000,000 messages taken of a group by 100 members", taken),
        ("1,000,000 retained messages brought while 60,000 subscriptions ask for them", brought),
    ];
    for (name, tell) in stories {
        let mut journal = Journal::default();
        tell(&mut journal);
        let started = std::time::Instant::now();
        let (records, remembered) = journal.replay();
        let seconds = started.elapsed().as_secs_f64();
        assert!(!remembered.sessions.is_empty());
        let (bytes, rate) = (journal.bytes.len(), records as f64 / seconds);
        println!("{name}: {records} records, {bytes} bytes, {seconds:.3} s, {rate:.0} records/s");
    }
}

/// Writes the records of a story.
type Tell = fn(&mut Journal);

fn owed_to_many(journal: &mut Journal) {
    journal.open(SESSIONS);
    for message in 1..=MESSAGES {
        // Far apart, as it is when many publish.
        journal.publish(message, Some(message.wrapping_mul(7_919) % SESSIONS + 1));
    }
}

fn owed_to_one(journal: &mut Journal) {
    journal.open(1);
    (1..=MESSAGES).for_each(|message| journal.publish(message, Some(1)));
}

fn refused(journal: &mut Journal) {
    journal.open(1);
    for message in 1..=MESSAGES {
        journal.publish(message, Some(1));
        if message > 100_000 {
            journal.settle(1, message, None, Settlement::Dropped(DropReason::QueueFull));
        }
    }
}

fn sent(journal: &mut Journal) {
    journal.open(1);
    for message in 1..=MESSAGES {
        journal.publish(message, Some(1));
        journal.change(1, begun(message));
        if let Some(first) = message.checked_sub(WINDOW).filter(|first| *first > 0) {
            journal.settle(1, first, Some(packet_id(first)), Settlement::Acknowledged);
        }
    }
}

fn taken(journal: &mut Journal) {
    journal.open(100);
    let (share_name, filter) = ("workers".into(), "jobs/#".into());
    journal.append(&Record::GroupNamed { group: GROUP, share_name, filter });
    for message in 1..=MESSAGES {
        let session = message % 100 + 1;
        journal.publish(message, None);
        let delivered = Delivered { group: Some(GROUP), ..delivered(message) };
        journal.append(&Record::GroupTaken { session: SessionNumber(session), delivered });
        journal.change(session, begun(message));
        if let Some(first) = message.checked_sub(WINDOW).filter(|first| *first > 0) {
            journal.settle(first % 100 + 1, first, Some(packet_id(first)), Settlement::Acknowledged);
        }
    }
}

fn brought(journal: &mut Journal) {
    journal.open(1);
    for filter in 0..60_000 {
        let filter = format!("site/{filter}/#").into();
        let subscription = noctule_session::Subscription::default();
        journal.change(1, SessionChange::Subscribed { filter, subscription, brings_retained: true });
    }
    for message in 1..=MESSAGES {
        let delivered = Delivered { retain: true, ..delivered(message) };
        journal.change(1, SessionChange::Held { delivered: Box::new(delivered), position: Position(1) });
        journal.change(1, begun(message));
        journal.settle(1, message, Some(packet_id(message)), Settlement::Acknowledged);
    }
}

#[derive(Default)]
struct Journal {
    bytes: Vec<u8>,
}

impl Journal {
    fn append(&mut self, record: &Record) {
        record.encode(&mut self.bytes);
    }

    fn change(&mut self, session: u64, change: SessionChange) {
        self.append(&Record::Session { session: SessionNumber(session), change });
    }

    /// Durable sessions whose clients are away.
    fn open(&mut self, sessions: u64) {
        for number in 1..=sessions {
            let session = SessionNumber(number);
            let client_id = format!("client-{number}").into();
            self.append(&Record::SessionOpened {
                session,
                client_id,
                user_name: None,
                origin: Box::default(),
            });
            self.change(number, SessionChange::ExpirySet { session_expiry_interval: u32::MAX });
            self.append(&Record::SessionDetached { session, at: NOW });
        }
    }

    /// A message of 16 bytes that is owed to a session, or else to the group.
    fn publish(&mut self, message: u64, session: Option<u64>) {
        let target = |session| FrameTarget {
            session: SessionNumber(session),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_ids: SubscriptionIds::None,
        };
        self.append(&Record::Published(Box::new(Frame {
            message: Arc::new(publication(message)),
            inbound: None,
            retained: false,
            will_of: None,
            owed: session.map(target).into_iter().collect(),
            groups: if session.is_none() { vec![GROUP] } else { Vec::new() },
        })));
    }

    fn settle(&mut self, session: u64, message: u64, packet_id: Option<PacketId>, settlement: Settlement) {
        let message = MessageNumber(message);
        self.change(session, SessionChange::Settled { message, packet_id, settlement });
    }

    /// Reads and applies everything; returns how many records that were, and what they say.
    fn replay(&self) -> (u64, Remembered) {
        let mut replay = Replay::default();
        let (mut rest, mut records) = (&self.bytes[..], 0);
        while !rest.is_empty() {
            let (record, behind) = Record::decode(rest).expect("it was encoded");
            let position = self.bytes.len() - rest.len() + 1;
            replay.apply(Position(position as u64), record);
            rest = behind;
            records += 1;
        }
        (records, replay.finish())
    }
}

fn publication(number: u64) -> Publication {
    Publication {
        number: MessageNumber(number),
        topic: "site/7/machine/12/temperature".into(),
        payload: vec![0; 16].into(),
        properties: Properties::EMPTY,
        qos: QoS::AtLeastOnce,
        retain: false,
        published_at: NOW,
        expires_at: None,
        publisher: "sensor-12".into(),
        place: Place::default(),
        kept: Place::default(),
        parts: None,
        share: None,
    }
}

fn delivered(message: u64) -> Delivered {
    Delivered {
        number: MessageNumber(message),
        bytes: 200,
        qos: QoS::AtLeastOnce,
        retain: false,
        subscription_ids: SubscriptionIds::None,
        group: None,
        phase: Phase::Waiting,
        packet_id: None,
        behind: None,
        is_maybe_sent: false,
    }
}

fn begun(message: u64) -> SessionChange {
    SessionChange::Begun { message: MessageNumber(message), packet_id: packet_id(message) }
}

/// Packet ids in turn, as a client sees them.
fn packet_id(message: u64) -> PacketId {
    let id = u16::try_from((message - 1) % u64::from(u16::MAX) + 1).expect("it is within 65,535");
    PacketId::new(id).expect("it is not 0")
}

const MESSAGES: u64 = 1_000_000;
const SESSIONS: u64 = 100_000;
const WINDOW: u64 = 1_024;
const GROUP: GroupNumber = GroupNumber(1);
/// In the year 2026.
const NOW: Instant = Instant::from_millis(1_780_000_000_000);
