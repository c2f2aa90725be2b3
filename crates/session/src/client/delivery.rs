//! The server's publications: checked, given to the application once, and acknowledged in order of arrival
//! [MQTT-4.6.0-2], [MQTT-4.6.0-3].

use super::Client;
use super::connection::Connection;
use super::event::{Delivery, Event, Receipt, Violation};
use super::unanswered::Answer;
use crate::AckKind;
use noctule_codec::{Ack, PacketId, Publish, QoS, ReasonCode};

impl Client {
    pub(super) fn handle_publish(&mut self, publish: &Publish<'_>) -> Result<(), Violation> {
        let topic = self.resolve_topic(publish)?;
        let Some(packet_id) = publish.packet_id else {
            self.deliver(topic, publish, None);
            return Ok(());
        };
        let is_known = self.session.inbound.contains(packet_id);
        if is_known && publish.qos != QoS::ExactlyOnce {
            return Err(Violation::PacketIdInUse { packet_id: packet_id.get() });
        }
        self.check_receive_maximum(packet_id)?;
        if self.has_been_delivered(publish, packet_id)? {
            return Ok(());
        }
        match (publish.qos, is_known) {
            (QoS::ExactlyOnce, true) => self.repeat(packet_id, publish.dup),
            (qos, _) => self.deliver_for_answer(qos, packet_id, topic, publish),
        }
        Ok(())
    }

    /// PUBREL releases the id, and PUBCOMP answers it [MQTT-4.3.3-11].
    pub(super) fn handle_pubrel(&mut self, ack: &Ack<'_>) {
        self.session.handle_pubrel(ack.packet_id, &mut self.fx);
        self.collect();
        let Some(connection) = self.connection.as_deref_mut() else { return };
        if connection.received.remove(ack.packet_id) {
            connection.acks_queued += 1;
        }
        // Released before it was received: the server knows better, and a PUBREC would open it again.
        connection.unanswered.remove(AckKind::PubRec, ack.packet_id);
        self.send_answers();
    }

    /// The topic name, which a topic alias may stand for on this connection [MQTT-3.3.2-7].
    fn resolve_topic(&mut self, publish: &Publish<'_>) -> Result<Box<str>, Violation> {
        let Some(alias) = publish.properties.topic_alias() else { return Ok(publish.topic.into()) };
        let options = self.connection.as_ref().map(|connection| &connection.options);
        let alias_maximum = options.map_or(0, super::ConnectOptions::topic_alias_maximum);
        if alias > alias_maximum {
            return Err(Violation::TopicAliasAboveMaximum { alias, alias_maximum });
        }
        let aliases = self.session.link.as_deref_mut().map(|link| &mut link.aliases_in);
        let Some(aliases) = aliases else { return Err(Violation::TopicAliasUnknown { alias }) };
        if !publish.topic.is_empty() {
            aliases.set(alias, publish.topic);
        }
        aliases.get(alias).map(Into::into).ok_or(Violation::TopicAliasUnknown { alias })
    }

    fn check_receive_maximum(&self, packet_id: PacketId) -> Result<(), Violation> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let receive_maximum = connection.options.receive_maximum();
        let bearable = receive_maximum.saturating_add(connection.options.receive_excess);
        let is_new = !connection.received.contains(packet_id)
            && !connection.unanswered.contains(AckKind::PubAck, packet_id);
        if is_new && connection.outstanding() >= usize::from(bearable) {
            return Err(Violation::ReceiveMaximumExceeded { receive_maximum });
        }
        Ok(())
    }

    /// Whether the application has this publication and need not get it again. Before MQTT 5.0 some servers send
    /// again on the same connection what is not acknowledged in time; in a resumed session every server does.
    fn has_been_delivered(&mut self, publish: &Publish<'_>, packet_id: PacketId) -> Result<bool, Violation> {
        let (kind, other) = kind_of(publish.qos);
        let Some(connection) = self.connection.as_deref_mut() else { return Ok(false) };
        if connection.unanswered.contains(other, packet_id) {
            return Err(Violation::PacketIdInUse { packet_id: packet_id.get() });
        }
        if connection.unanswered.contains(kind, packet_id) {
            self.report_repetition(packet_id, publish.dup, true);
            return Ok(true);
        }
        // Without DUP at QoS 1 it is another message under the same id [MQTT-3.3.1-1].
        let is_same = kind == AckKind::PubRec || publish.dup;
        let Some(answer) = self.held.remove(kind, packet_id).filter(|_| is_same) else { return Ok(false) };
        connection.unanswered.push(kind, answer);
        if kind == AckKind::PubRec {
            connection.received.insert(packet_id);
        }
        self.report_repetition(packet_id, publish.dup, false);
        self.send_answers();
        Ok(true)
    }

    /// A QoS 2 publication that was acknowledged; its PUBREC goes in its place behind what came before.
    fn repeat(&mut self, packet_id: PacketId, dup: bool) {
        let connection = self.connection.as_deref_mut();
        let same_connection = connection.is_some_and(|connection| {
            let is_known = connection.received.contains(packet_id);
            connection.received.insert(packet_id);
            is_known
        });
        self.report_repetition(packet_id, dup, same_connection);
        self.answer(AckKind::PubRec, packet_id, ReasonCode::Success);
    }

    fn report_repetition(&mut self, packet_id: PacketId, dup: bool, same_connection: bool) {
        self.events.push_back(Event::Repeated { packet_id, dup, same_connection });
    }

    fn deliver_for_answer(&mut self, qos: QoS, packet_id: PacketId, topic: Box<str>, publish: &Publish<'_>) {
        let (kind, _) = kind_of(qos);
        let Some(connection) = self.connection.as_deref_mut() else { return };
        if kind == AckKind::PubRec {
            connection.received.insert(packet_id);
        }
        if !connection.options.manual_acks {
            self.deliver(topic, publish, None);
            return self.answer(kind, packet_id, ReasonCode::Success);
        }
        self.last_receipt += 1;
        let receipt = Some(Receipt(self.last_receipt));
        connection.unanswered.push(kind, Answer::new(packet_id, receipt));
        self.deliver(topic, publish, receipt);
    }

    fn deliver(&mut self, topic: Box<str>, publish: &Publish<'_>, receipt: Option<Receipt>) {
        self.events.push_back(Event::Message(Delivery {
            topic,
            payload: publish.payload.into(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            receipt,
            properties: publish.properties.borrow().into_owned(),
        }));
    }
}

/// How a publication of this QoS is answered, and how others are.
const fn kind_of(qos: QoS) -> (AckKind, AckKind) {
    match qos {
        QoS::ExactlyOnce => (AckKind::PubRec, AckKind::PubAck),
        _ => (AckKind::PubAck, AckKind::PubRec),
    }
}

impl Connection {
    /// Publications of this connection that the server must count as unacknowledged.
    fn outstanding(&self) -> usize {
        self.received.len() + self.unanswered.pubacks() + self.acks_queued
    }
}
