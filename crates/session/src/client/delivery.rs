//! The server's publications: checked, given to the application once, and acknowledged in order of arrival
//! [MQTT-4.6.0-2], [MQTT-4.6.0-3].

use super::Client;
use super::connection::Connection;
use super::event::{Delivery, Event, Violation};
use crate::change::SessionChange;
use crate::{AckKind, Outgoing};
use noctule_codec::{Ack, PacketId, Publish, QoS, ReasonCode};

impl Client {
    pub(super) fn handle_publish(&mut self, publish: &Publish<'_>) -> Result<(), Violation> {
        let topic = self.resolve_topic(publish)?;
        let Some(packet_id) = publish.packet_id else {
            self.deliver(topic, publish);
            return Ok(());
        };
        let is_known = self.session.inbound.contains(packet_id);
        if is_known && publish.qos != QoS::ExactlyOnce {
            return Err(Violation::PacketIdInUse { packet_id: packet_id.get() });
        }
        self.check_receive_maximum(packet_id)?;
        match (publish.qos, is_known) {
            (QoS::ExactlyOnce, true) => self.repeat(packet_id, publish.dup),
            (QoS::ExactlyOnce, false) => self.receive_qos2(packet_id, topic, publish),
            _ => {
                self.deliver(topic, publish);
                self.answer(AckKind::PubAck, packet_id);
            }
        }
        Ok(())
    }

    /// PUBREL releases the id, and PUBCOMP answers it [MQTT-4.3.3-11].
    pub(super) fn handle_pubrel(&mut self, ack: &Ack<'_>) {
        self.session.handle_pubrel(ack.packet_id, &mut self.fx);
        self.collect();
        if let Some(connection) = self.connection.as_deref_mut()
            && connection.received.remove(ack.packet_id)
        {
            connection.acks_queued += 1;
        }
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
        let is_new = !connection.received.contains(packet_id);
        if is_new && connection.outstanding() >= usize::from(receive_maximum) {
            return Err(Violation::ReceiveMaximumExceeded { receive_maximum });
        }
        Ok(())
    }

    fn receive_qos2(&mut self, packet_id: PacketId, topic: Box<str>, publish: &Publish<'_>) {
        self.record(SessionChange::InboundTaken { packet_id });
        self.deliver(topic, publish);
        self.answer(AckKind::PubRec, packet_id);
    }

    fn repeat(&mut self, packet_id: PacketId, dup: bool) {
        let connection = self.connection.as_ref();
        let same_connection = connection.is_some_and(|connection| connection.received.contains(packet_id));
        self.events.push_back(Event::Repeated { packet_id, dup, same_connection });
        self.answer(AckKind::PubRec, packet_id);
    }

    fn deliver(&mut self, topic: Box<str>, publish: &Publish<'_>) {
        self.events.push_back(Event::Message(Delivery {
            topic,
            payload: publish.payload.into(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            properties: publish.properties.borrow().into_owned(),
        }));
    }

    fn answer(&mut self, kind: AckKind, packet_id: PacketId) {
        self.session.send(Outgoing::Ack(kind, packet_id, ReasonCode::Success));
        if let Some(connection) = self.connection.as_deref_mut() {
            match kind {
                AckKind::PubRec => connection.received.insert(packet_id),
                _ => connection.acks_queued += 1,
            }
        }
    }
}

impl Connection {
    /// Publications of this connection that the server must count as unacknowledged.
    fn outstanding(&self) -> usize {
        self.received.len() + self.acks_queued
    }
}
