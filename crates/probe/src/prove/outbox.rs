//! The sending half of a client's session, which the client keeps over every crash of the broker.
//!
//! After a crash, what is in flight is sent again under the packet ids it had, in the order it had: PUBLISH with DUP
//! as long as no PUBREC was read, PUBREL from then on [MQTT-4.4.0-1] [MQTT-4.6.0-1]. Only so can exactly once be
//! judged. A publication that no acknowledgement was read for is never given up while the session lives.

use std::collections::VecDeque;
use std::time::Duration;

use noctule_codec::{
    Ack, Packet, PacketId, PacketType, Properties, ProtocolVersion, Publish, QoS, ReasonCode,
};

use super::books::Books;
use super::deliveries::Lane;
use super::mark::Mark;
use crate::frames;
use crate::pace::Schedule;

/// What one publisher sends.
#[derive(Debug)]
pub(crate) struct Outbox {
    version: ProtocolVersion,
    /// Its number in the books.
    publisher: u32,
    lane: Lane,
    topics: Vec<String>,
    next_topic: usize,
    /// In the order they were first sent.
    in_flight: VecDeque<Flight>,
    in_flight_max: usize,
    last_packet_id: PacketId,
    /// When new publications are due; none while nothing new is to be sent.
    schedule: Option<Schedule>,
    /// What was sent by this schedule.
    sent: u64,
}

/// A publication whose exchange is not complete.
#[derive(Clone, Copy, Debug)]
struct Flight {
    packet_id: PacketId,
    topic: usize,
    sequence: u64,
    /// PUBREC was read, so PUBREL is what is sent again [MQTT-4.3.3-6].
    is_received: bool,
}

impl Outbox {
    pub(crate) fn new(version: ProtocolVersion, publisher: u32, lane: Lane, topics: Vec<String>) -> Self {
        Self {
            version,
            publisher,
            lane,
            topics,
            next_topic: 0,
            in_flight: VecDeque::new(),
            in_flight_max: IN_FLIGHT_MAX,
            last_packet_id: frames::FIRST_PACKET_ID,
            schedule: None,
            sent: 0,
        }
    }

    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    /// Begins or ends to send new publications.
    pub(crate) fn set_schedule(&mut self, schedule: Option<Schedule>) {
        (self.schedule, self.sent) = (schedule, 0);
    }

    /// The broker takes this many exchanges at a time [MQTT-3.3.4-7].
    pub(crate) fn limit(&mut self, receive_maximum: Option<u16>) {
        self.in_flight_max = receive_maximum.map_or(IN_FLIGHT_MAX, |max| IN_FLIGHT_MAX.min(usize::from(max)));
    }

    /// Exchanges that are not complete.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The connection is back: sends again what is in flight, or forgets it where the broker has forgotten the session
    /// [MQTT-3.2.2-5]. What is forgotten so may have arrived or not; nobody promised anything.
    pub(crate) fn resume(&mut self, session_present: bool, books: &mut Books, out: &mut Vec<u8>) {
        if !session_present {
            books.resumed.abandoned += self.in_flight.len() as u64;
            return self.in_flight.clear();
        }
        for flight in &self.in_flight {
            if flight.is_received {
                books.resumed.releases += 1;
                self.write_pubrel(flight.packet_id, out);
            } else {
                books.resumed.publishes += 1;
                self.write_publish(flight, true, out);
            }
        }
    }

    /// Sends what is due by now, as far as the window allows.
    pub(crate) fn publish_due(&mut self, now: u64, books: &mut Books, out: &mut Vec<u8>) {
        let Some(schedule) = self.schedule else { return };
        while self.sent < schedule.due(now) && self.in_flight.len() < self.in_flight_max {
            let Some(topic) = self.free_topic() else { return };
            let sequence = books.deliveries.sent(self.publisher);
            let flight = Flight { packet_id: self.free_packet_id(), topic, sequence, is_received: false };
            self.write_publish(&flight, false, out);
            self.in_flight.push_back(flight);
            self.sent += 1;
        }
    }

    /// Takes PUBACK, PUBREC or PUBCOMP. Returns what the broker did wrong, if it did.
    pub(crate) fn take_ack(
        &mut self,
        kind: PacketType,
        ack: &Ack<'_>,
        now: Duration,
        books: &mut Books,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let Some(place) = self.in_flight.iter().position(|flight| flight.packet_id == ack.packet_id) else {
            return Err("acknowledged a packet id that is not in use");
        };
        let flight = self.in_flight[place];
        match (kind, self.lane.qos(), flight.is_received) {
            (PacketType::PubAck, QoS::AtLeastOnce, _) | (PacketType::PubRec, QoS::ExactlyOnce, false)
                if ack.reason_code.is_error() =>
            {
                self.in_flight.remove(place);
                books.incidents.refuse(kind, ack.reason_code);
                books.deliveries.refused(self.publisher, flight.sequence);
            }
            (PacketType::PubRec, QoS::ExactlyOnce, _) => {
                self.in_flight[place].is_received = true;
                books.activity += 1;
                self.write_pubrel(flight.packet_id, out);
            }
            // A PUBCOMP that does not know the id is no error after a crash: the exchange was complete before. The
            // PUBREC was the broker's promise, and the publisher could not send the message again if it wanted to.
            (PacketType::PubAck, QoS::AtLeastOnce, _) | (PacketType::PubComp, QoS::ExactlyOnce, true) => {
                self.in_flight.remove(place);
                let topic = (self.publisher, flight.topic as u32);
                books.acknowledged(self.lane, topic, flight.sequence, now);
            }
            _ => return Err("acknowledged with a packet that does not fit the exchange"),
        }
        Ok(())
    }

    /// The next topic in turn. A retained topic has one update in flight at most: resent beside a later one, an earlier
    /// one would rightly become the retained value again.
    fn free_topic(&mut self) -> Option<usize> {
        let is_retained = matches!(self.lane, Lane::Retained(_));
        for _ in 0..self.topics.len() {
            let topic = self.next_topic;
            self.next_topic = (topic + 1) % self.topics.len();
            if !is_retained || self.in_flight.iter().all(|flight| flight.topic != topic) {
                return Some(topic);
            }
        }
        None
    }

    /// Fewer are in use than there are by far.
    fn free_packet_id(&mut self) -> PacketId {
        loop {
            self.last_packet_id = self.last_packet_id.next();
            let last = self.last_packet_id;
            if self.in_flight.iter().all(|flight| flight.packet_id != last) {
                return last;
            }
        }
    }

    fn write_publish(&self, flight: &Flight, dup: bool, out: &mut Vec<u8>) {
        let mark = Mark { publisher: self.publisher, topic: flight.topic as u32, sequence: flight.sequence };
        let publish = Publish {
            dup,
            qos: self.lane.qos(),
            retain: matches!(self.lane, Lane::Retained(_)),
            topic: &self.topics[flight.topic],
            packet_id: Some(flight.packet_id),
            properties: Properties::EMPTY,
            payload: &mark.payload(),
        };
        frames::write(self.version, &Packet::Publish(publish), out);
    }

    fn write_pubrel(&self, packet_id: PacketId, out: &mut Vec<u8>) {
        let ack = Ack { packet_id, reason_code: ReasonCode::Success, properties: Properties::EMPTY };
        frames::write(self.version, &Packet::PubRel(ack), out);
    }
}

/// Exchanges of one publisher at a time.
const IN_FLIGHT_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use noctule_codec::Decoder;

    use super::super::verdict::ResumedVerdict;
    use super::*;

    const VERSION: ProtocolVersion = ProtocolVersion::V5;
    const NOW: Duration = Duration::from_secs(1);

    fn outbox(lane: Lane, topics: usize) -> (Outbox, Books) {
        let mut books = Books::default();
        let publisher = books.deliveries.add_publisher(lane);
        let topics = (0..topics).map(|topic| topic.to_string()).collect();
        let mut outbox = Outbox::new(VERSION, publisher, lane, topics);
        outbox.set_schedule(Some(Schedule { start: 0, rate: 1, burst: 1 }));
        (outbox, books)
    }

    /// Lets this many publications become due since the last time; what is written.
    fn publish(outbox: &mut Outbox, books: &mut Books, count: u64) -> Vec<String> {
        let mut out = Vec::new();
        let due = Schedule { start: 0, rate: 1, burst: 1 }.time_of(outbox.sent + count - 1);
        outbox.publish_due(due, books, &mut out);
        shown(&out)
    }

    fn resume(outbox: &mut Outbox, books: &mut Books, session_present: bool) -> Vec<String> {
        let mut out = Vec::new();
        outbox.resume(session_present, books, &mut out);
        shown(&out)
    }

    fn take(outbox: &mut Outbox, books: &mut Books, kind: PacketType, id: u16) -> (bool, Vec<String>) {
        answer(outbox, books, kind, id, ReasonCode::Success)
    }

    fn answer(
        outbox: &mut Outbox,
        books: &mut Books,
        kind: PacketType,
        id: u16,
        reason_code: ReasonCode,
    ) -> (bool, Vec<String>) {
        let packet_id = PacketId::new(id).expect("not 0");
        let (ack, mut out) = (Ack { packet_id, reason_code, properties: Properties::EMPTY }, Vec::new());
        let is_right = outbox.take_ack(kind, &ack, NOW, books, &mut out).is_ok();
        (is_right, shown(&out))
    }

    /// Packets as `PUBLISH id topic sequence dup` and `PUBREL id`.
    fn shown(mut bytes: &[u8]) -> Vec<String> {
        let mut decoder = Decoder::server(u32::MAX);
        let connect = frames::connect(&frames::Introduction {
            version: VERSION,
            client_id: "c",
            is_durable: true,
            user_name: None,
            password: None,
        });
        decoder.decode(&connect).expect("a CONNECT");
        let mut found = Vec::new();
        while let Some((packet, length)) = decoder.decode(bytes).expect("packets of ours") {
            bytes = &bytes[length..];
            found.push(match packet {
                Packet::Publish(publish) => {
                    let (id, dup) = (publish.packet_id.expect("QoS above 0").get(), publish.dup);
                    let mark = Mark::read(publish.payload).expect("a payload of ours");
                    format!(
                        "PUBLISH {id} {} {}{}",
                        publish.topic,
                        mark.sequence,
                        if dup { " dup" } else { "" }
                    )
                }
                Packet::PubRel(ack) => format!("PUBREL {}", ack.packet_id.get()),
                other => panic!("{other:?}"),
            });
        }
        found
    }

    #[test]
    fn after_a_crash_an_exchange_goes_on_where_it_was() {
        let (mut outbox, mut books) = outbox(Lane::Plain(QoS::ExactlyOnce), 2);
        let sent = publish(&mut outbox, &mut books, 3);
        assert_eq!(sent, ["PUBLISH 2 0 0", "PUBLISH 3 1 1", "PUBLISH 4 0 2"]);
        let pubrec = take(&mut outbox, &mut books, PacketType::PubRec, 2);
        assert_eq!(pubrec, (true, vec!["PUBREL 2".to_owned()]));
        assert_eq!(
            resume(&mut outbox, &mut books, true),
            ["PUBREL 2", "PUBLISH 3 1 1 dup", "PUBLISH 4 0 2 dup"]
        );
        let resumed = ResumedVerdict { publishes: 2, releases: 1, abandoned: 0 };
        assert_eq!((books.resumed, books.deliveries.acknowledged_count()), (resumed, 0));
        assert!(take(&mut outbox, &mut books, PacketType::PubComp, 2).0);
        assert_eq!((outbox.in_flight(), books.deliveries.acknowledged_count()), (2, 1));
    }

    #[test]
    fn a_forgotten_session_is_forgotten_by_the_client_too() {
        let (mut outbox, mut books) = outbox(Lane::Plain(QoS::AtLeastOnce), 1);
        publish(&mut outbox, &mut books, 3);
        assert!(resume(&mut outbox, &mut books, false).is_empty());
        assert_eq!((outbox.in_flight(), books.resumed.abandoned), (0, 3));
    }

    #[test]
    fn a_completion_after_a_crash_counts_although_the_id_is_unknown_by_then() {
        let (mut outbox, mut books) = outbox(Lane::Plain(QoS::ExactlyOnce), 1);
        publish(&mut outbox, &mut books, 1);
        take(&mut outbox, &mut books, PacketType::PubRec, 2);
        resume(&mut outbox, &mut books, true);
        let unknown = ReasonCode::PacketIdentifierNotFound;
        assert!(answer(&mut outbox, &mut books, PacketType::PubComp, 2, unknown).0);
        assert_eq!((outbox.in_flight(), books.deliveries.acknowledged_count()), (0, 1));
    }

    #[test]
    fn a_refusal_is_no_acknowledgement() {
        for (qos, kind) in [(QoS::AtLeastOnce, PacketType::PubAck), (QoS::ExactlyOnce, PacketType::PubRec)] {
            let (mut outbox, mut books) = outbox(Lane::Plain(qos), 1);
            publish(&mut outbox, &mut books, 1);
            let refusal = answer(&mut outbox, &mut books, kind, 2, ReasonCode::QuotaExceeded);
            assert_eq!(refusal, (true, vec![]), "the exchange is over");
            assert_eq!((outbox.in_flight(), books.deliveries.acknowledged_count()), (0, 0));
            assert_eq!(books.incidents.refused().len(), 1);
        }
    }

    #[test]
    fn what_does_not_fit_is_the_brokers_mistake() {
        let (mut outbox, mut books) = outbox(Lane::Plain(QoS::ExactlyOnce), 1);
        publish(&mut outbox, &mut books, 1);
        for (kind, id) in [(PacketType::PubAck, 2), (PacketType::PubComp, 2), (PacketType::PubRec, 9)] {
            assert_eq!(take(&mut outbox, &mut books, kind, id), (false, vec![]), "{kind:?} {id}");
        }
        assert_eq!((outbox.in_flight(), books.deliveries.acknowledged_count()), (1, 0));
    }

    #[test]
    fn the_window_and_the_brokers_receive_maximum_are_kept() {
        let (mut outbox, mut books) = outbox(Lane::Plain(QoS::AtLeastOnce), 1);
        assert_eq!(publish(&mut outbox, &mut books, 100).len(), IN_FLIGHT_MAX);
        let (mut outbox, mut books) = self::outbox(Lane::Plain(QoS::AtLeastOnce), 1);
        outbox.limit(Some(3));
        assert_eq!(publish(&mut outbox, &mut books, 100).len(), 3);
        take(&mut outbox, &mut books, PacketType::PubAck, 3);
        assert_eq!(publish(&mut outbox, &mut books, 100), ["PUBLISH 5 0 3"]);
    }

    #[test]
    fn a_retained_topic_has_one_update_in_flight() {
        let (mut outbox, mut books) = outbox(Lane::Retained(QoS::AtLeastOnce), 2);
        assert_eq!(publish(&mut outbox, &mut books, 9), ["PUBLISH 2 0 0", "PUBLISH 3 1 1"]);
        take(&mut outbox, &mut books, PacketType::PubAck, 3);
        assert_eq!(publish(&mut outbox, &mut books, 9), ["PUBLISH 4 1 2"]);
    }

    #[test]
    fn without_a_schedule_nothing_new_is_sent() {
        let (mut outbox, mut books) = outbox(Lane::Plain(QoS::AtLeastOnce), 1);
        outbox.set_schedule(None);
        let mut out = Vec::new();
        outbox.publish_due(u64::MAX, &mut books, &mut out);
        assert!(out.is_empty());
    }
}
