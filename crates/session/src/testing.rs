//! Sessions and messages for the tests of this crate.

use crate::{
    ConnectionId, Instant, Link, MessageNumber, Offer, Publication, Session, SessionNumber, SubscriptionIds,
};
use noctule_codec::{Connect, PacketId, Properties, ProtocolVersion, QoS};
use std::sync::Arc;

pub(crate) fn id(packet_id: u16) -> PacketId {
    PacketId::new(packet_id).expect("test ids are not zero")
}

/// A session that outlives its connection by so many seconds, and is connected.
pub(crate) fn connected(session_expiry_interval: u32) -> Session {
    let mut session = Session::new(SessionNumber(1), "client".into());
    session.session_expiry_interval = session_expiry_interval;
    attach(&mut session, Properties::EMPTY);
    session
}

/// Gives the session a new 5.0 connection with these properties of CONNECT.
pub(crate) fn attach(session: &mut Session, properties: Properties<'_>) {
    let connect = Connect {
        version: ProtocolVersion::V5,
        clean_start: false,
        keep_alive_seconds: 0,
        client_id: "client",
        will: None,
        user_name: None,
        password: None,
        properties,
    };
    let connection = ConnectionId { slot: 0, generation: 0 };
    let link = Link::new(connection, &connect, 0, Arc::default(), Instant::default());
    session.outbound.attach(link.receive_maximum);
    session.link = Some(Box::new(link));
}

pub(crate) fn message(number: u64) -> Publication {
    Publication {
        number: MessageNumber(number),
        topic: "topic".into(),
        payload: b"payload".as_slice().into(),
        properties: Properties::EMPTY,
        qos: QoS::ExactlyOnce,
        retain: false,
        published_at: Instant::default(),
        expires_at: None,
        publisher: "publisher".into(),
        place: crate::Place::default(),
        kept: crate::Place::default(),
        parts: None,
        share: None,
    }
}

pub(crate) fn offer(number: u64, qos: QoS) -> Offer {
    let (message, subscription_ids) = (Arc::new(message(number)), SubscriptionIds::None);
    Offer { message, qos, retain: false, subscription_ids, group: None }
}
