//! How a session comes by what it is owed and hands it to its connection.

use crate::change::{DropReason, SessionChange, Settlement};
use crate::output::{AckKind, HeldPing, Outgoing, OutgoingPublish};
use crate::{
    GroupNumber, Instant, Limits, Link, MessageNumber, Owed, Phase, Position, Publication, Session,
    SubscriptionIds,
};
use noctule_codec::{PacketId, QoS, ReasonCode};
use std::sync::Arc;

/// What a call on a session has brought about besides its new state.
#[derive(Debug, Default)]
pub struct SessionEffects {
    /// Changes to record, in order; only those of durable sessions unless `records_all`.
    pub changes: Vec<SessionChange>,
    /// Whether changes of a session that ends with its connection are recorded as well.
    pub records_all: bool,
    /// Packets that may leave only after these changes are durable, in order.
    pub promises: Vec<Outgoing>,
    /// Messages that will not be delivered.
    pub drops: Vec<(Arc<Publication>, DropReason)>,
    /// References that nobody needs any more, for who wants to use their room again.
    pub done: Vec<Arc<Publication>>,
    /// Messages that will not be delivered because their contents are lost.
    pub lost: u32,
    /// Deliveries of shared groups that are over.
    pub group_settled: Vec<(GroupNumber, MessageNumber)>,
    /// What is promised here waits for records also where the session itself has none: its group has.
    pub waits_for_group: bool,
    /// Packet ids are being reserved: [`Session::add_reserved_ids`] is due once these changes are durable.
    pub reserves_ids: bool,
}

impl SessionEffects {
    /// Whether something is to be recorded, or waits for that.
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
            || !self.promises.is_empty()
            || !self.group_settled.is_empty()
            || self.reserves_ids
    }

    /// Whether messages are over, delivered or not.
    pub fn has_used(&self) -> bool {
        !self.done.is_empty() || !self.drops.is_empty() || self.lost > 0
    }
}

/// A message on its way into a session.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The publication.
    pub message: Arc<Publication>,
    /// The QoS of this delivery: the lower of the published and the granted one [MQTT-3.8.4-8].
    pub qos: QoS,
    /// The RETAIN flag of this delivery.
    pub retain: bool,
    /// The subscriptions it answers.
    pub subscription_ids: SubscriptionIds,
    /// The shared group it comes from.
    pub group: Option<GroupNumber>,
}

impl Offer {
    /// The delivery that a session owes its client when it has taken the message.
    pub(crate) fn owed(self) -> Owed {
        let Self { message, qos, retain, subscription_ids, group } = self;
        let mut owed = Owed::new(message, qos, retain, subscription_ids);
        owed.set_group(group);
        owed
    }

    fn into_owed(self) -> SessionChange {
        let Self { message, qos, retain, subscription_ids, group } = self;
        SessionChange::Owed { message, qos, retain, subscription_ids, group }
    }
}

impl Session {
    /// Takes a message that the session is owed, or drops it where a bound says so.
    pub fn offer(&mut self, offer: Offer, limits: &Limits, fx: &mut SessionEffects) {
        match self.link.as_deref_mut() {
            Some(link) if offer.qos == QoS::AtMostOnce => send_qos0(link, offer, limits, fx),
            None if offer.qos == QoS::AtMostOnce && !limits.queue_qos0 => fx.done.push(offer.message),
            _ => self.enqueue(offer, limits, fx),
        }
    }

    /// Takes a retained message of a new subscription, for which there [is room](Self::has_window_room). The
    /// bounds of the queue do not cut it, and no publication's record says that it is owed.
    pub fn offer_retained(&mut self, offer: Offer, fx: &mut SessionEffects) {
        match self.link.as_deref_mut() {
            Some(link) if offer.qos == QoS::AtMostOnce => send_now(link, offer, fx),
            _ => self.record(offer.into_owed(), fx),
        }
    }

    /// Sends what the window and the output buffer have room for: first again what was sent on an earlier
    /// connection, then what waits [MQTT-4.4.0-1, MQTT-4.6.0-1].
    pub fn transmit(&mut self, now: Instant, limits: &Limits, fx: &mut SessionEffects) {
        while self.has_output_room(limits) && self.transmit_next(now, limits, fx) {}
    }

    /// The message that is the next to be sent, if it never was and its content is here.
    pub fn next_to_begin(&mut self) -> Option<&Arc<Publication>> {
        let owed = self.outbound.front()?;
        owed.message().filter(|_| owed.phase() == Phase::Waiting)
    }

    /// Drops the message that is the [next](Self::next_to_begin) to be sent.
    pub fn refuse_next(&mut self, reason: DropReason, fx: &mut SessionEffects) {
        self.drop_next(reason, fx);
    }

    /// Whether a message above QoS 0 could be sent at once.
    pub fn has_window_room(&mut self, limits: &Limits) -> bool {
        self.has_output_room(limits) && self.outbound.is_drained() && self.outbound.quota() > 0
    }

    /// Whether the connection has room for more deliveries.
    pub fn has_output_room(&self, limits: &Limits) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| !link.output.is_finished() && link.output.bytes() < limits.output_bytes_max)
    }

    fn enqueue(&mut self, offer: Offer, limits: &Limits, fx: &mut SessionEffects) {
        let message = &offer.message;
        let bytes = self.outbound.bytes() + message.bytes();
        let count = self.outbound.waiting_len() as u64;
        if bytes > limits.queue_bytes_max
            || (limits.queue_messages_max > 0 && count >= limits.queue_messages_max)
        {
            return self.refuse(offer, DropReason::QueueFull, fx);
        }
        // The publication's own record says what is owed, or the group's; applying it here is not recorded again.
        match offer.group {
            None => self.owe_as_published(offer),
            Some(_) => self.owe(offer),
        }
    }

    /// Drops a message that the session has not taken. The publication's record says that a durable session
    /// is owed it, so another one says that it is not.
    pub fn refuse(&mut self, offer: Offer, reason: DropReason, fx: &mut SessionEffects) {
        let (message, settlement) = (offer.message.number, Settlement::Dropped(reason));
        // Nothing is applied: another copy of the message may be owed, and would be taken for this one.
        if self.is_durable() && offer.qos > QoS::AtMostOnce {
            fx.changes.push(SessionChange::Settled { message, packet_id: None, settlement });
        }
        fx.drops.push((offer.message, reason));
    }

    /// Sends one packet of the list; `false` when there is none or it has to wait for room in the window.
    pub fn transmit_next(&mut self, now: Instant, limits: &Limits, fx: &mut SessionEffects) -> bool {
        let quota = self.outbound.quota();
        let Some(owed) = self.outbound.front() else { return false };
        let (phase, packet_id, qos) = (owed.phase(), owed.packet_id(), owed.qos);
        if owed.is_missing() {
            let is_lost = owed.is_lost();
            if is_lost {
                self.drop_next(DropReason::Damaged, fx);
            }
            return is_lost;
        }
        match (phase, packet_id) {
            (Phase::Received, Some(packet_id)) => {
                self.send(Outgoing::Ack(AckKind::PubRel, packet_id, ReasonCode::Success));
                self.outbound.advance();
            }
            _ if quota == 0 && qos > QoS::AtMostOnce => return false,
            (Phase::Sent, Some(packet_id)) => self.send_again(packet_id, now, fx),
            _ if qos == QoS::AtMostOnce => self.send_first(None, now, limits, fx),
            _ => match self.outbound.free_packet_id() {
                None => return false,
                new_id => self.send_first(new_id, now, limits, fx),
            },
        }
        true
    }

    /// Sends a delivery of an earlier connection again, with DUP and its old id [MQTT-3.3.1-1]. It does not
    /// expire any more [MQTT-4.3.3-7].
    fn send_again(&mut self, packet_id: PacketId, now: Instant, fx: &mut SessionEffects) {
        let Some(publish) = self.outgoing_publish(Some(packet_id), true) else { return };
        if let Some(reason) = self.cause_not_to_send(&publish, now) {
            return self.drop_next(reason, fx);
        }
        self.send(Outgoing::Publish(publish));
        self.outbound.advance();
    }

    /// Sends a delivery for the first time: here it takes its window place, and here it is decided whether it
    /// has expired or is too long for the client.
    fn send_first(
        &mut self,
        packet_id: Option<PacketId>,
        now: Instant,
        limits: &Limits,
        fx: &mut SessionEffects,
    ) {
        let Some(publish) = self.outgoing_publish(packet_id, false) else { return };
        if let Some(reason) = self.cause_to_drop(&publish, now, limits) {
            return self.drop_next(reason, fx);
        }
        if self.is_durable() {
            self.reserve_ids(fx);
        }
        let message = publish.message.number;
        let Some(packet_id) = publish.packet_id else {
            self.send_after_record(Outgoing::Publish(publish), false, fx);
            let settled = SessionChange::Settled { message, packet_id: None, settlement: Settlement::Sent };
            return self.record(settled, fx);
        };
        let waits = publish.qos == QoS::ExactlyOnce;
        if waits && self.is_durable() {
            self.record_exchange(&publish, now, limits, fx);
        }
        self.record(SessionChange::Begun { message, packet_id }, fx);
        self.send_after_record(Outgoing::Publish(publish), waits, fx);
        self.outbound.advance();
    }

    /// Has a restart know of a QoS 2 exchange that is about to begin and whose content no record has. Without it
    /// the client would wait for PUBREL, and take the next message under this packet id for the one it has.
    fn record_exchange(
        &mut self,
        publish: &OutgoingPublish,
        now: Instant,
        limits: &Limits,
        fx: &mut SessionEffects,
    ) {
        let Some(owed) = self.outbound.front() else { return };
        let message = &publish.message;
        // What this turn has accepted has no place yet, and gets one unless its topic's rule says otherwise.
        let is_new = message.published_at == now && !limits.is_forgotten(&message.topic);
        if !owed.position().is_somewhere() && !is_new {
            // It is there already, so this is not applied.
            let delivered = Box::new(owed.delivered());
            fx.changes.push(SessionChange::Held { delivered, position: Position::NOWHERE });
        }
    }

    /// Sees to it that there are packet ids in reserve, for a session that outlives its connection.
    fn reserve_ids(&mut self, fx: &mut SessionEffects) {
        if self.is_reserving_ids() || !self.outbound.is_short_of_ids() {
            return;
        }
        let up_to = self.outbound.ids_to_reserve();
        self.record(SessionChange::IdsReserved { up_to }, fx);
        if let Some(link) = self.link.as_deref_mut() {
            link.is_reserving_ids = true;
            fx.reserves_ids = true;
        }
    }

    /// The first packet ids of a connection, which are reserved with the record of its CONNECT: CONNACK waits for
    /// that. A session that ends with its connection has all of them.
    pub fn reserve_first_ids(&mut self) -> Option<SessionChange> {
        let is_durable = self.is_durable();
        self.outbound.reserve_first_ids(is_durable);
        is_durable.then(|| SessionChange::IdsReserved { up_to: self.outbound.last_reserved_id() })
    }

    /// The packet ids that were being reserved may be used.
    pub fn add_reserved_ids(&mut self) {
        if let Some(link) = self.link.as_deref_mut() {
            link.is_reserving_ids = false;
            self.outbound.add_reserved_ids();
        }
    }

    fn is_reserving_ids(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_reserving_ids)
    }

    fn cause_to_drop(&self, publish: &OutgoingPublish, now: Instant, limits: &Limits) -> Option<DropReason> {
        let age_max = u64::from(limits.queue_age_seconds_max) * 1000;
        // What the client may have had before a crash is sent again whatever its age [MQTT-4.3.3-7].
        if publish.dup {
            return self.cause_not_to_send(publish, now);
        }
        if publish.message.is_expired(now) {
            Some(DropReason::Expired)
        } else if age_max > 0 && now.millis_since(publish.message.published_at) > age_max && !publish.retain {
            Some(DropReason::TooOld)
        } else {
            self.cause_not_to_send(publish, now)
        }
    }

    fn cause_not_to_send(&self, publish: &OutgoingPublish, now: Instant) -> Option<DropReason> {
        self.link.as_ref()?.cause_not_to_send(publish, now)
    }

    /// The next delivery of the list as a PUBLISH.
    fn outgoing_publish(&mut self, packet_id: Option<PacketId>, dup: bool) -> Option<OutgoingPublish> {
        let owed = self.outbound.front()?;
        Some(OutgoingPublish {
            message: Arc::clone(owed.message()?),
            packet_id,
            qos: owed.qos,
            dup: dup || owed.is_maybe_sent(),
            retain: owed.retain,
            subscription_ids: owed.subscription_ids(),
        })
    }

    /// Ends the next delivery of the list without sending it. A QoS 2 delivery that was sent before is completed: the
    /// client may have it, and keeps its packet id until PUBREL.
    fn drop_next(&mut self, reason: DropReason, fx: &mut SessionEffects) {
        let Some(owed) = self.outbound.front() else { return };
        let (message, packet_id, group) = (owed.number, owed.packet_id(), owed.group());
        fx.lost += u32::from(owed.message().is_none());
        fx.drops.extend(owed.message().cloned().map(|message| (message, reason)));
        if let Some(packet_id) = owed.exchange() {
            self.record(SessionChange::Received { packet_id }, fx);
            self.outbound.advance();
            let pubrel = Outgoing::Ack(AckKind::PubRel, packet_id, ReasonCode::Success);
            return self.send_after_record(pubrel, true, fx);
        }
        fx.group_settled.extend(group.map(|group| (group, message)));
        let settlement = Settlement::Dropped(reason);
        self.record(SessionChange::Settled { message, packet_id, settlement }, fx);
    }

    /// Applies a change, and keeps it for the journal where the session outlives its connection.
    pub fn record(&mut self, change: SessionChange, fx: &mut SessionEffects) {
        self.apply(&change);
        if self.is_durable() || fx.records_all {
            fx.changes.push(change);
        }
    }

    /// Queues a packet for the client, if it is connected.
    pub fn send(&mut self, outgoing: Outgoing) {
        if let Some(link) = self.link.as_deref_mut() {
            link.send(outgoing);
        }
    }

    /// Answers PINGREQ [MQTT-3.12.4-1], behind the deliveries that wait for their records.
    pub fn answer_ping(&mut self, fx: &mut SessionEffects) {
        let Some(link) = self.link.as_deref_mut() else { return };
        if link.publishes_promised == 0 || link.output.held_ping != HeldPing::None {
            return link.send(Outgoing::PingResp);
        }
        link.output.held_ping = HeldPing::Promised;
        fx.promises.push(Outgoing::PingResp);
    }

    /// Queues a packet that must not leave before what was recorded is durable, where that `waits`.
    pub(crate) fn send_after_record(&mut self, outgoing: Outgoing, waits: bool, fx: &mut SessionEffects) {
        let waits = waits && (self.is_durable() || fx.waits_for_group);
        match (self.link.as_deref_mut(), outgoing) {
            (Some(link), Outgoing::Publish(publish)) => send_publish(link, publish, waits, fx),
            (_, outgoing) if waits => fx.promises.push(outgoing),
            (_, outgoing) => self.send(outgoing),
        }
    }
}

/// QoS 0 takes no window place; what the output buffer has no room for is dropped.
fn send_qos0(link: &mut Link, offer: Offer, limits: &Limits, fx: &mut SessionEffects) {
    let waiting = link.output.bytes();
    if waiting + offer.message.bytes() > limits.output_bytes_max && waiting > 0 {
        return fx.drops.push((offer.message, DropReason::OutputFull));
    }
    send_now(link, offer, fx);
}

/// Sends a QoS 0 delivery unless it is too long for the client.
fn send_now(link: &mut Link, offer: Offer, fx: &mut SessionEffects) {
    let Offer { message, qos, retain, subscription_ids, .. } = offer;
    let publish = OutgoingPublish { message, packet_id: None, qos, dup: false, retain, subscription_ids };
    if let Some(reason) = link.cause_not_to_send(&publish, link.last_heard) {
        return fx.drops.push((publish.message, reason));
    }
    send_publish(link, publish, false, fx);
}

/// Sends a delivery, or promises it where it `waits` for its record or stands behind one that does: what a
/// client receives stays in order whatever the QoS.
fn send_publish(link: &mut Link, publish: OutgoingPublish, waits: bool, fx: &mut SessionEffects) {
    if waits || link.publishes_promised > 0 {
        link.publishes_promised += 1;
        fx.promises.push(Outgoing::Publish(publish));
    } else {
        link.send(Outgoing::Publish(publish));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{attach, connected, id, message, offer};
    use crate::{Position, SessionNumber};
    use noctule_codec::{Properties, Property};
    use proptest::prelude::*;

    const NOW: Instant = Instant::from_millis(0);

    fn give(session: &mut Session, offer: Offer, limits: &Limits) -> SessionEffects {
        let mut fx = SessionEffects::default();
        session.offer(offer, limits, &mut fx);
        session.transmit(NOW, limits, &mut fx);
        fx
    }

    fn reasons(fx: &SessionEffects) -> Vec<DropReason> {
        fx.drops.iter().map(|(_, reason)| *reason).collect()
    }

    #[test]
    fn only_a_session_that_outlives_its_connection_records_and_waits() {
        for (expiry, qos, changes, promises) in [
            (100, QoS::AtMostOnce, 0, 0),
            (100, QoS::AtLeastOnce, 1, 0),
            (100, QoS::ExactlyOnce, 1, 1),
            (0, QoS::AtLeastOnce, 0, 0),
            (0, QoS::ExactlyOnce, 0, 0),
        ] {
            let fx = give(&mut connected(expiry), offer(1, qos), &Limits::default());
            assert_eq!((fx.changes.len(), fx.promises.len()), (changes, promises), "{expiry} {qos:?}");
        }
    }

    #[test]
    fn a_full_queue_drops_what_comes_and_records_that() {
        let limits = Limits { queue_messages_max: 1, ..Limits::default() };
        let mut session = connected(100);
        session.link = None;
        assert!(reasons(&give(&mut session, offer(1, QoS::AtLeastOnce), &limits)).is_empty());
        let fx = give(&mut session, offer(2, QoS::AtLeastOnce), &limits);
        assert_eq!(reasons(&fx), [DropReason::QueueFull]);
        assert!(matches!(
            fx.changes[..],
            [SessionChange::Settled { packet_id: None, settlement: Settlement::Dropped(_), .. }]
        ));
        assert_eq!(session.outbound.len(), 1);
    }

    #[test]
    fn a_retained_message_is_recorded_as_owed_and_not_bounded() {
        let limits = Limits { queue_messages_max: 1, queue_bytes_max: 1, ..Limits::default() };
        let mut session = connected(100);
        for number in 1..=3 {
            assert!(session.has_window_room(&limits));
            let mut fx = SessionEffects::default();
            session.offer_retained(offer(number, QoS::AtLeastOnce), &mut fx);
            session.transmit(NOW, &limits, &mut fx);
            assert!(matches!(fx.changes[..], [SessionChange::Owed { .. }, SessionChange::Begun { .. }]));
        }
    }

    #[test]
    fn causes_to_drop_are_found_when_a_message_takes_its_window_place() {
        let mut expired = offer(1, QoS::AtLeastOnce);
        let ends = crate::Publication { expires_at: Some(Instant::from_millis(5)), ..message(1) };
        expired.message = Arc::new(ends);
        let mut long = offer(2, QoS::AtLeastOnce);
        long.message = Arc::new(crate::Publication { payload: vec![0; 200].into(), ..message(2) });
        let aged = Limits { queue_age_seconds_max: 1, ..Limits::default() };
        let any = Limits::default();
        for (offer, limits, now, reason) in [
            (expired.clone(), &any, 5, Some(DropReason::Expired)),
            (expired, &any, 4, None),
            (offer(3, QoS::AtLeastOnce), &aged, 1001, Some(DropReason::TooOld)),
            (offer(3, QoS::AtLeastOnce), &aged, 1000, None),
            (long, &any, 0, Some(DropReason::Oversize)),
        ] {
            let mut session = connected(100);
            session.link = None;
            give(&mut session, offer, limits);
            attach(&mut session, Properties::new().with(Property::MaximumPacketSize(100)));
            let mut fx = SessionEffects::default();
            session.transmit(Instant::from_millis(now), limits, &mut fx);
            assert_eq!(reasons(&fx), Vec::from_iter(reason));
            assert_eq!(session.outbound.is_empty(), reason.is_some());
        }
    }

    /// The client may have it, and keeps the packet id until PUBREL.
    #[test]
    fn a_qos_2_delivery_that_cannot_be_sent_again_is_completed() {
        let limits = Limits::default();
        for is_lost in [false, true] {
            let mut session = connected(100);
            give(&mut session, offer(1, QoS::ExactlyOnce), &limits);
            session.link = None;
            let properties = if is_lost {
                session.outbound.find_mut(id(1)).and_then(Owed::take_message).expect("it is there");
                Properties::EMPTY
            } else {
                Properties::new().with(Property::MaximumPacketSize(10))
            };
            attach(&mut session, properties);
            let mut fx = SessionEffects::default();
            session.transmit(NOW, &limits, &mut fx);
            assert!(matches!(fx.changes[..], [SessionChange::Received { packet_id }] if packet_id == id(1)));
            assert!(
                matches!(fx.promises[..], [Outgoing::Ack(AckKind::PubRel, packet_id, _)] if packet_id == id(1))
            );
            assert_eq!((fx.lost == 1, reasons(&fx).len()), (is_lost, usize::from(!is_lost)));
            session.handle_pubcomp(id(1), &mut fx).expect("it is due");
            assert!(session.outbound.is_empty());
        }
    }

    #[test]
    fn the_output_buffer_paces_what_is_sent() {
        let limits = Limits { output_bytes_max: 1, ..Limits::default() };
        let mut session = connected(0);
        for number in 1..=3 {
            give(&mut session, offer(number, QoS::AtLeastOnce), &limits);
        }
        for sent in 1..=3 {
            let begun = session.outbound.iter().filter(|owed| owed.phase() == Phase::Sent).count();
            assert_eq!(begun, sent, "one at a time");
            let link = session.link.as_deref_mut().expect("it is connected");
            link.output.encode(
                &mut link.wire,
                NOW,
                usize::MAX,
                &mut Vec::new(),
                &mut SessionEffects::default(),
            );
            session.transmit(NOW, &limits, &mut SessionEffects::default());
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Offer(QoS),
        Retained(QoS),
        Answer(u16, AckKind, bool),
        Detach,
        Attach(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let qos = || prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
        let kind = prop::sample::select(vec![AckKind::PubAck, AckKind::PubRec, AckKind::PubComp]);
        let step = prop_oneof![
            4 => qos().prop_map(Step::Offer),
            1 => qos().prop_map(Step::Retained),
            8 => (1..12_u16, kind, prop::bool::weighted(0.9)).prop_map(|(id, kind, ok)| Step::Answer(id, kind, ok)),
            1 => Just(Step::Detach),
            1 => (1..5_u16).prop_map(Step::Attach),
        ];
        prop::collection::vec(step, 0..150)
    }

    fn take(session: &mut Session, step: Step, number: u64, limits: &Limits) -> Vec<SessionChange> {
        let mut fx = SessionEffects::default();
        let mut changes = Vec::new();
        match step {
            Step::Offer(qos) => {
                // What the publication's own record says.
                if qos > QoS::AtMostOnce {
                    changes.push(offer(number, qos).into_owed());
                }
                session.offer(offer(number, qos), limits, &mut fx);
            }
            Step::Retained(qos) if session.has_window_room(limits) => {
                session.offer_retained(offer(number, qos), &mut fx);
            }
            Step::Retained(_) => {}
            Step::Answer(packet_id, kind, ok) => {
                let code = if ok { ReasonCode::Success } else { ReasonCode::UnspecifiedError };
                // An answer of the wrong kind changes nothing; the engine closes the connection.
                let _ = match kind {
                    AckKind::PubAck => session.handle_puback(id(packet_id), code, &mut fx),
                    AckKind::PubRec => session.handle_pubrec(id(packet_id), code, &mut fx),
                    _ => session.handle_pubcomp(id(packet_id), &mut fx),
                };
            }
            Step::Detach => session.link = None,
            Step::Attach(receive_maximum) => {
                attach(session, Properties::new().with(Property::ReceiveMaximum(receive_maximum)));
            }
        }
        session.transmit(NOW, limits, &mut fx);
        changes.append(&mut fx.changes);
        changes
    }

    proptest! {
        /// What was recorded gives the session back.
        #[test]
        fn recovery_gives_the_same_session(steps in steps()) {
            let limits = Limits { queue_messages_max: 6, ..Limits::default() };
            let mut session = connected(u32::MAX);
            let mut recovered = Session::new(SessionNumber(1), "client".into());
            for (number, step) in (1..).zip(steps) {
                for change in take(&mut session, step, number, &limits) {
                    recovered.apply(&change);
                }
                let owed = |session: &Session| {
                    let owed = session.outbound.iter();
                    owed.map(|owed| (owed.number, owed.qos, owed.phase(), owed.packet_id())).collect::<Vec<_>>()
                };
                prop_assert_eq!(owed(&session), owed(&recovered));
                prop_assert_eq!(session.outbound.bytes(), recovered.outbound.bytes());
            }
        }
    }

    /// The walk of reclaim goes by where the publication stands, because its record is what a restart knows this by.
    #[test]
    fn what_a_publication_owes_stands_with_it_though_it_was_retained_anew() {
        let limits = Limits::default();
        let (mut session, mut fx) = (Session::new(SessionNumber(1), "a".into()), SessionEffects::default());
        let offered = offer(7, QoS::AtLeastOnce);
        offered.message.place.set(Position(10));
        offered.message.kept.set(Position(90));
        session.offer(offered, &limits, &mut fx);
        let positions: Vec<Position> = session.outbound.iter().map(Owed::position).collect();
        assert_eq!(positions, [Position(10)]);
    }
}
