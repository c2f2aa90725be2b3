//! Whether the records that the engine left give back the sessions as they are, through their bytes.

use hashbrown::HashMap;
use noctule_codec::{PacketId, QoS};
use noctule_engine::{Record, Remembered, RememberedSession, Replay, content};
use noctule_session::{
    GroupNumber, MessageNumber, Owed, Phase, Position, Session, SessionChange, SessionNumber, StoredWill,
    Subscription, SubscriptionIds,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What of a session must survive a restart, in a form that can be compared.
#[derive(Debug, PartialEq)]
struct Kept {
    client_id: Arc<str>,
    session_expiry_interval: u32,
    subscriptions: BTreeMap<Box<str>, Subscription>,
    will: Option<Arc<StoredWill>>,
    inbound: noctule_session::Inbound,
    begun: Vec<Delivery>,
    /// In the order of their numbers: a journal has them in the order of its frames, the session in that of
    /// their arrival.
    waiting: Vec<Delivery>,
}

#[derive(Clone, Debug, PartialEq)]
struct Delivery {
    number: MessageNumber,
    bytes: u32,
    qos: QoS,
    retain: bool,
    subscription_ids: SubscriptionIds,
    group: Option<GroupNumber>,
    packet_id: Option<PacketId>,
    phase: Phase,
}

impl Delivery {
    fn of(owed: &Owed) -> Self {
        Self {
            number: owed.number,
            bytes: owed.delivered().bytes,
            qos: owed.qos,
            retain: owed.retain,
            subscription_ids: owed.subscription_ids(),
            group: owed.group(),
            packet_id: owed.packet_id(),
            phase: owed.phase(),
        }
    }

    /// Of a message that a restart does not know an exchange at QoS 2 is left: it is completed.
    fn without_content(owed: &Owed) -> Option<Self> {
        owed.exchange().map(|_| Self { bytes: 0, phase: Phase::Received, ..Self::of(owed) })
    }
}

/// The bytes of each record. The first one stands at position 1, the next at 2.
#[derive(Default)]
struct Journal {
    frames: Vec<Vec<u8>>,
    /// Where publications stand.
    places: HashMap<MessageNumber, Position>,
}

/// Writes the records, reads them again and compares what they say with the live sessions: durable sessions must be
/// there and equal, what they are owed must be where it is said to be, and no session may be recorded that has
/// ended. Says what differs.
///
/// Call it when no mail is on its way.
pub fn check_replay<'s>(records: &[Record], live: impl Iterator<Item = &'s Session>) -> Result<(), String> {
    let mut journal = Journal::default();
    let remembered = journal.remember(records)?;
    check_remembered(remembered, live, |_| true, |number, position| journal.has(number, position))
}

/// Compares what a restart would remember with the live sessions, in the same way. `is_recorded` says whether a restart
/// is to know of a delivery at all, `has` whether a message can be read at a position.
pub fn check_remembered<'s>(
    remembered: Remembered,
    live: impl Iterator<Item = &'s Session>,
    is_recorded: impl Fn(&Owed) -> bool,
    mut has: impl FnMut(MessageNumber, Position) -> bool,
) -> Result<(), String> {
    let again = remembered.sessions.into_iter();
    let mut again: BTreeMap<SessionNumber, RememberedSession> =
        again.map(|again| (again.session.number, again)).collect();
    for session in live {
        match again.remove(&session.number) {
            Some(again) => {
                compare(session, &again, &is_recorded)?;
                check_contents(&again.session, &mut has)?;
            }
            None if session.is_durable() => return Err(format!("{} is not recorded", session.client_id)),
            None => {}
        }
    }
    match again.values().next() {
        Some(again) => Err(format!("a session of {} is recorded that has ended", again.session.client_id)),
        None => Ok(()),
    }
}

impl Journal {
    fn remember(&mut self, records: &[Record]) -> Result<Remembered, String> {
        let mut replay = Replay::default();
        for (position, record) in (1..).map(Position).zip(records) {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            match Record::decode(&bytes) {
                Ok((mut again, [])) => {
                    self.place(position, &mut again);
                    replay.apply(position, again);
                }
                Ok((_, rest)) => return Err(format!("{} bytes left behind {record:?}", rest.len())),
                Err(error) => return Err(format!("{error} in {record:?}")),
            }
            self.frames.push(bytes);
        }
        Ok(replay.finish())
    }

    /// A publication learns its position when its record is appended, which the simulator has nobody for.
    fn place(&mut self, at: Position, record: &mut Record) {
        match record {
            Record::Published(frame) => drop(self.places.insert(frame.message.number, at)),
            Record::Session { change: SessionChange::Held { delivered, position }, .. }
                if !position.is_somewhere() =>
            {
                *position = self.places.get(&delivered.number).copied().unwrap_or_default();
            }
            _ => {}
        }
    }

    fn has(&self, number: MessageNumber, position: Position) -> bool {
        let frame = usize::try_from(position.0 - 1).ok().and_then(|at| self.frames.get(at));
        frame.is_some_and(|frame| matches!(content(frame, number), Ok(Some(_))))
    }
}

/// What a session is still to be sent is where the session says it is.
fn check_contents(
    session: &Session,
    has: &mut impl FnMut(MessageNumber, Position) -> bool,
) -> Result<(), String> {
    for owed in session.outbound.iter().filter(|owed| owed.is_missing()) {
        let (number, position) = (owed.number, owed.position());
        if !position.is_somewhere() || !has(number, position) {
            return Err(format!("{number:?} is not at {position:?}, where {} needs it", session.client_id));
        }
    }
    Ok(())
}

fn compare(
    live: &Session,
    again: &RememberedSession,
    is_recorded: impl Fn(&Owed) -> bool,
) -> Result<(), String> {
    let client_id = &live.client_id;
    let (was_connected, is_connected) = (live.link.is_some(), again.is_connected);
    let (live, again) = (live, &again.session);
    if live.is_durable() != again.is_durable() {
        let (live, again) = (live.is_durable(), again.is_durable());
        return Err(format!("durable: {client_id} is {live}, recorded {again}"));
    }
    if !live.is_durable() {
        return Ok(());
    }
    if was_connected != is_connected {
        return Err(format!("connected: {client_id} is {was_connected}, recorded {is_connected}"));
    }
    let (live, again) = (kept(live, is_recorded), kept(again, |_| true));
    if live == again {
        return Ok(());
    }
    Err(format!("the records give\n{again:#?}\nbut the session is\n{live:#?}"))
}

fn kept(session: &Session, is_recorded: impl Fn(&Owed) -> bool) -> Kept {
    let owed = session.outbound.iter().filter(|owed| owed.qos > QoS::AtMostOnce);
    let deliveries = owed.filter_map(|owed| match is_recorded(owed) {
        true => Some(Delivery::of(owed)),
        false => Delivery::without_content(owed),
    });
    let (mut waiting, begun): (Vec<_>, Vec<_>) =
        deliveries.partition(|delivery| delivery.phase == Phase::Waiting);
    waiting.sort_by_key(|delivery| delivery.number);
    let subscriptions = session.subscriptions.iter();
    Kept {
        client_id: Arc::clone(&session.client_id),
        session_expiry_interval: session.session_expiry_interval,
        subscriptions: subscriptions.map(|(filter, subscription)| (filter.into(), subscription)).collect(),
        will: session.will.clone(),
        inbound: session.inbound.clone(),
        begun,
        waiting,
    }
}
