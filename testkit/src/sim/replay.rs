//! Whether the records that the engine left give back the sessions as they are.

use noctule_codec::{PacketId, QoS};
use noctule_engine::Record;
use noctule_session::{
    MessageNumber, Phase, Session, SessionChange, SessionNumber, StoredWill, Subscription, SubscriptionIds,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What of a session must survive a restart, in a form that can be compared.
#[derive(Debug, PartialEq)]
struct Remembered {
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
    qos: QoS,
    retain: bool,
    subscription_ids: SubscriptionIds,
    packet_id: Option<PacketId>,
    phase: Phase,
}

/// Applies the records to fresh sessions and compares them with the live ones: durable sessions must be there
/// and equal, and no session may be recorded that has ended. Says what differs.
///
/// Call it when no mail is on its way. Sessions with shared subscriptions are not compared: what a group owes
/// is its own, and its records do not hold the messages.
pub fn check_replay<'s>(records: &[Record], live: impl Iterator<Item = &'s Session>) -> Result<(), String> {
    let mut replayed: BTreeMap<SessionNumber, Session> = BTreeMap::new();
    for record in records {
        replay(record, &mut replayed);
    }
    for session in live {
        match replayed.remove(&session.number) {
            Some(again) => compare(session, &again)?,
            None if session.is_durable() => return Err(format!("{} is not recorded", session.client_id)),
            None => {}
        }
    }
    match replayed.values().next() {
        Some(session) => Err(format!("a session of {} is recorded that has ended", session.client_id)),
        None => Ok(()),
    }
}

fn compare(live: &Session, again: &Session) -> Result<(), String> {
    if live.is_durable() != again.is_durable() {
        let client_id = &live.client_id;
        return Err(format!(
            "durable: {} is {}, recorded {}",
            client_id,
            live.is_durable(),
            again.is_durable()
        ));
    }
    let is_shared = live.subscriptions.filters().any(|filter| filter.starts_with("$share/"));
    if is_shared || !live.is_durable() {
        return Ok(());
    }
    let (live, again) = (remembered(live), remembered(again));
    if live == again {
        return Ok(());
    }
    Err(format!("the records give\n{again:#?}\nbut the session is\n{live:#?}"))
}

fn replay(record: &Record, sessions: &mut BTreeMap<SessionNumber, Session>) {
    match record {
        Record::Published(frame) => {
            for owed in &frame.owed {
                if let Some(session) = sessions.get_mut(&owed.session) {
                    session.apply(&SessionChange::Owed {
                        message: Arc::clone(&frame.message),
                        qos: owed.qos,
                        retain: owed.retain,
                        subscription_ids: owed.subscription_ids.clone(),
                        group: None,
                    });
                }
            }
            if let Some((session, packet_id)) = frame.inbound
                && let Some(session) = sessions.get_mut(&session)
            {
                session.apply(&SessionChange::InboundTaken { packet_id });
            }
            if let Some(session) = frame.will_of.and_then(|session| sessions.get_mut(&session)) {
                session.apply(&SessionChange::WillSet { will: None });
            }
        }
        Record::SessionOpened { session, client_id, .. } => {
            sessions.entry(*session).or_insert_with(|| Session::new(*session, Arc::clone(client_id)));
        }
        Record::Session { session, change } => {
            if let Some(session) = sessions.get_mut(session) {
                session.apply(change);
            }
        }
        Record::SessionEnded { session } => {
            sessions.remove(session);
        }
        _ => {}
    }
}

fn remembered(session: &Session) -> Remembered {
    let owed = session.outbound.iter().filter(|owed| owed.qos > QoS::AtMostOnce && owed.group().is_none());
    let deliveries = owed.map(|owed| Delivery {
        number: owed.number,
        qos: owed.qos,
        retain: owed.retain,
        subscription_ids: owed.subscription_ids(),
        packet_id: owed.packet_id(),
        phase: owed.phase(),
    });
    let (mut waiting, begun): (Vec<_>, Vec<_>) =
        deliveries.partition(|delivery| delivery.phase == Phase::Waiting);
    waiting.sort_by_key(|delivery| delivery.number);
    let subscriptions = session.subscriptions.iter();
    Remembered {
        client_id: Arc::clone(&session.client_id),
        session_expiry_interval: session.session_expiry_interval,
        subscriptions: subscriptions.map(|(filter, subscription)| (filter.into(), subscription)).collect(),
        will: session.will.clone(),
        inbound: session.inbound.clone(),
        begun,
        waiting,
    }
}
