//! The messages of a run: when a publisher may send the next one, how it is written, and what its arrival means.
//!
//! A message is *in flight* until the broker has acknowledged it (QoS 1 and 2) and the first receiver has it. At QoS 0
//! the delivery alone closes the window. Nothing here touches a socket or a clock, and nothing allocates per message.

use noctule_codec::{PacketId, PacketType, QoS, ReasonCode};

use crate::client::{Client, Role};
use crate::connection::Output;
use crate::frames::{Acks, PublishHead, PublishShape};
use crate::incidents::Incidents;
use crate::incoming::{Delivery, Incoming};
use crate::latency::Latencies;
use crate::load::Load;
use crate::pace::{Pace, Schedule};
use crate::packet_ids::{InFlight, PacketIds};
use crate::stamp::{IDENTITY_BYTES, STAMP_BYTES, Stamp};
use crate::tally::{Arrival, Tally};

/// All messages of a run and the books about them.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) load: Load,
    shape: PublishShape,
    pub(crate) pace: Pace,
    /// A receiver is there, so deliveries are waited for.
    pub(crate) awaits_delivery: bool,
    is_sending: bool,
    publishers: Vec<Publisher>,
    flows: Vec<Flow>,
    /// Publishers that may have something to send; each once.
    ready: Vec<u32>,
    /// Open loop: how many messages have been handed to publishers.
    planned: u64,
    acks: Acks,
    filler: Vec<u8>,
    tally: Tally,
    /// Of deliveries, and of acknowledgements.
    pub(crate) latencies: Latencies,
    pub(crate) ack_latencies: Latencies,
    pub(crate) counts: Counts,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Messages written.
    pub(crate) sent: u64,
    /// Copies that came, each message and receiver once.
    pub(crate) received: u64,
    /// Copies that are owed for what was sent.
    pub(crate) expected: u64,
    /// Messages the broker has answered for, whatever it said.
    pub(crate) settled: u64,
    /// Copies that came and belong to nobody.
    pub(crate) stray: u64,
    /// PINGRESPs.
    pub(crate) pongs: u64,
    /// Times everything in flight was given up because nothing came.
    pub(crate) stalls: u64,
}

#[derive(Debug)]
struct Publisher {
    head: PublishHead,
    flow: u32,
    /// Sent and not yet with the first receiver.
    undelivered: u64,
    ids: PacketIds,
    /// Messages it may still send in this phase.
    quota: u64,
    /// Open loop: messages that are due and not sent, and how many were sent before.
    owed: u64,
    served: u64,
    is_ready: bool,
    is_gone: bool,
}

/// What is known of a flow. What [`Load`] says of it is kept here, so that no message costs a division.
#[derive(Clone, Debug)]
struct Flow {
    publisher: u32,
    topic: u32,
    copies: u32,
    first_cell: usize,
    sent: u64,
    refused: u64,
    /// All before this one are with their first receiver or given up.
    delivered: u64,
}

impl Traffic {
    pub(crate) fn new(load: Load, shape: PublishShape, pace: Pace) -> Self {
        let ids = if shape.qos == QoS::AtMostOnce { 0 } else { ids_max(pace) };
        let publisher = |number| {
            let topic = load.topic_of(number);
            Publisher {
                head: PublishHead::new(shape, topic, &load.topic(topic), load.digits_at()),
                flow: number,
                undelivered: 0,
                ids: PacketIds::new(ids),
                quota: 0,
                owed: 0,
                served: 0,
                is_ready: false,
                is_gone: false,
            }
        };
        Self {
            shape,
            pace,
            awaits_delivery: true,
            is_sending: false,
            publishers: (0..load.publishers).map(publisher).collect(),
            flows: (0..load.flows()).map(|number| Flow::new(&load, number)).collect(),
            ready: Vec::new(),
            planned: 0,
            acks: Acks::new(shape.version),
            filler: vec![b'x'; shape.payload_bytes],
            tally: Tally::new(load.cells(), load.is_ordered()),
            latencies: Latencies::new(),
            ack_latencies: Latencies::new(),
            counts: Counts::default(),
            load,
        }
    }

    /// Lets all publishers send, this many messages in all if a number is given.
    pub(crate) fn start(&mut self, messages: Option<u64>) {
        let publishers = u64::from(self.load.publishers);
        for (number, publisher) in (0..).zip(&mut self.publishers) {
            publisher.quota = match messages {
                Some(messages) => messages / publishers + u64::from(number < messages % publishers),
                None => u64::MAX,
            };
        }
        (0..self.load.publishers).for_each(|publisher| self.mark_ready(publisher));
        self.is_sending = true;
    }

    /// Nothing new is sent from here on.
    pub(crate) fn stop(&mut self) {
        self.publishers.iter_mut().for_each(|publisher| publisher.quota = 0);
        self.is_sending = false;
    }

    /// Whether publishers wait for deliveries before they go on.
    pub(crate) fn is_waiting(&self) -> bool {
        let is_closed_loop = matches!(self.pace, Pace::Closed { .. });
        self.is_sending
            && self.awaits_delivery
            && is_closed_loop
            && self.counts.received < self.counts.expected
    }

    /// The broker takes at most this many unacknowledged messages from this publisher [MQTT-3.3.4-9].
    pub(crate) fn limit_in_flight(&mut self, publisher: u32, receive_maximum: u16) {
        self.publishers[publisher as usize].ids.limit(receive_maximum);
    }

    /// This publisher has lost its connection.
    pub(crate) fn publisher_gone(&mut self, publisher: u32) {
        self.publishers[publisher as usize].is_gone = true;
    }

    /// Writes what may be sent now. `outputs` are the clients, the publishers first; those with new bytes are added
    /// to `dirty`.
    pub(crate) fn publish(&mut self, now: u64, clients: &mut [Client], dirty: &mut Vec<usize>) {
        if let (Pace::Open(schedule), true) = (self.pace, self.is_sending) {
            self.plan(schedule, now);
        }
        while let Some(publisher) = self.ready.pop() {
            let client = publisher as usize;
            self.publishers[client].is_ready = false;
            let output = &mut clients[client].connection.output;
            self.fill(client, now, output);
            if !output.is_dirty {
                output.is_dirty = true;
                dirty.push(client);
            }
        }
    }

    /// When the next message is due, in an open loop.
    pub(crate) fn next_due(&self) -> Option<u64> {
        match self.pace {
            Pace::Open(schedule) if self.is_sending => Some(schedule.time_of(self.planned)),
            _ => None,
        }
    }

    /// A publisher whose socket takes bytes again may go on.
    pub(crate) fn mark_ready(&mut self, publisher: u32) {
        let entry = &mut self.publishers[publisher as usize];
        if !entry.is_ready && !entry.is_gone {
            entry.is_ready = true;
            self.ready.push(publisher);
        }
    }

    /// A packet has come on a connection that is open.
    pub(crate) fn take(
        &mut self,
        role: Role,
        incoming: &Incoming<'_>,
        now: u64,
        output: &mut Vec<u8>,
        incidents: &mut Incidents,
    ) {
        match *incoming {
            Incoming::Delivery(delivery) => self.deliver(role, delivery, now, output),
            Incoming::Ack { packet: PacketType::PubRec, packet_id, reason_code }
                if !reason_code.is_error() =>
            {
                self.acks.pubrel.write(packet_id, output);
            }
            Incoming::Ack { packet: PacketType::PubRel, packet_id, .. } => {
                self.acks.pubcomp.write(packet_id, output);
            }
            Incoming::Ack { packet, packet_id, reason_code } => {
                self.settle(role, packet, packet_id, reason_code, now, incidents);
            }
            Incoming::Pong => self.counts.pongs += 1,
            Incoming::Unasked(name) => incidents.violate(format!("sent a {name} that nobody asked for")),
        }
    }

    /// What is in flight never came and never will: the publishers may go on.
    pub(crate) fn give_up_waiting(&mut self) {
        self.counts.stalls += 1;
        for flow in &mut self.flows {
            flow.delivered = flow.sent;
        }
        for number in 0..self.load.publishers {
            self.publishers[number as usize].undelivered = 0;
            self.mark_ready(number);
        }
    }

    /// Messages the broker has not answered for; at QoS 0 it never does.
    pub(crate) fn unanswered(&self) -> u64 {
        if self.shape.qos == QoS::AtMostOnce { 0 } else { self.counts.sent - self.counts.settled }
    }

    /// Copies that were owed and have not come. What the broker refused it does not owe.
    pub(crate) fn lost(&self) -> u64 {
        let of_flow = |(number, flow): (u32, &Flow)| {
            let owed = flow.sent - flow.refused;
            let cells = self.load.cells_of(number);
            cells.map(|cell| owed.saturating_sub(self.tally.received(cell))).sum::<u64>()
        };
        (0..).zip(&self.flows).map(of_flow).sum()
    }

    pub(crate) fn duplicated(&self) -> u64 {
        self.tally.duplicated
    }

    pub(crate) fn out_of_order(&self) -> u64 {
        self.tally.out_of_order
    }

    /// Hands the messages that are due to their publishers, in turn.
    fn plan(&mut self, schedule: Schedule, now: u64) {
        let due = schedule.due(now).min(self.planned + PLANNED_PER_TURN);
        let publishers = u64::from(self.load.publishers);
        while self.planned < due {
            let publisher = (self.planned % publishers) as u32;
            let entry = &mut self.publishers[publisher as usize];
            entry.owed += 1;
            self.mark_ready(publisher);
            self.planned += 1;
        }
    }

    /// Writes messages of one publisher until its window, its schedule or its socket ends it.
    fn fill(&mut self, index: usize, now: u64, output: &mut Output) {
        while output.len() < OUTPUT_BYTES_MAX && self.may_send(index) {
            let sent_at = self.sent_at(index, now);
            let publisher = &mut self.publishers[index];
            let packet_id = match self.shape.qos {
                QoS::AtMostOnce => None,
                _ => match publisher.ids.take(publisher.flow, sent_at) {
                    Some(packet_id) => Some(packet_id),
                    None => return,
                },
            };
            self.write(index, packet_id, sent_at, &mut output.bytes);
        }
    }

    fn may_send(&self, index: usize) -> bool {
        let publisher = &self.publishers[index];
        if publisher.quota == 0 || publisher.is_gone {
            return false;
        }
        match self.pace {
            Pace::Closed { window } => publisher.undelivered < u64::from(window),
            Pace::Open(_) => publisher.owed > 0,
        }
    }

    /// When the next message of a publisher is meant to be sent.
    fn sent_at(&self, index: usize, now: u64) -> u64 {
        match self.pace {
            Pace::Closed { .. } => now,
            Pace::Open(schedule) => {
                let served = self.publishers[index].served;
                schedule.time_of(served * u64::from(self.load.publishers) + index as u64)
            }
        }
    }

    fn write(&mut self, index: usize, packet_id: Option<PacketId>, sent_at: u64, out: &mut Vec<u8>) {
        let publisher = &mut self.publishers[index];
        let number = publisher.flow;
        let flow = &mut self.flows[number as usize];
        publisher.owed = publisher.owed.saturating_sub(1);
        publisher.head.write(flow.topic, packet_id, out);
        let stamp_bytes = self.filler.len().min(STAMP_BYTES);
        out.extend_from_slice(&Stamp::bytes(number, flow.sent, sent_at)[..stamp_bytes]);
        out.extend_from_slice(&self.filler[stamp_bytes..]);

        flow.sent += 1;
        publisher.served += 1;
        publisher.quota -= 1;
        publisher.undelivered += u64::from(self.awaits_delivery);
        self.counts.sent += 1;
        self.counts.expected += u64::from(flow.copies);
        publisher.flow = self.load.flow_after(number, index as u32);
    }

    fn deliver(&mut self, role: Role, delivery: Delivery<'_>, now: u64, output: &mut Vec<u8>) {
        if let Some(packet_id) = delivery.packet_id {
            match delivery.qos {
                QoS::ExactlyOnce => self.acks.pubrec.write(packet_id, output),
                _ => self.acks.puback.write(packet_id, output),
            }
        }
        let Some((cell, stamp)) = self.recognise(role, delivery) else {
            self.counts.stray += 1;
            return;
        };
        if let Some(sent_at) = stamp.sent_at {
            self.latencies.record(now.saturating_sub(sent_at));
        }
        if self.tally.arrive(cell, stamp.sequence) == Arrival::Duplicate {
            return;
        }
        self.counts.received += 1;
        self.close_window(stamp.flow, stamp.sequence);
    }

    /// Which of our messages this is, and its place in the books; none if this subscriber should not have it, or not
    /// with this topic or payload.
    fn recognise(&self, role: Role, delivery: Delivery<'_>) -> Option<(usize, Stamp)> {
        let (Role::Subscriber(subscriber), Some(topic)) = (role, delivery.topic) else { return None };
        if delivery.payload.len() != self.shape.payload_bytes {
            return None;
        }
        if self.shape.payload_bytes < IDENTITY_BYTES {
            return self.recognise_by_topic(subscriber, topic);
        }
        let stamp = Stamp::read(delivery.payload)?;
        let flow = self.flows.get(stamp.flow as usize).filter(|flow| flow.topic == topic)?;
        let cell = flow.cell(&self.load, subscriber)?;
        (stamp.sequence < flow.sent).then_some((cell, stamp))
    }

    /// Without a stamp the topic says which flow it is, and the message counts as the one that was expected.
    fn recognise_by_topic(&self, subscriber: u32, topic: u32) -> Option<(usize, Stamp)> {
        let flow = self.flows.get(topic as usize)?;
        let cell = flow.cell(&self.load, subscriber)?;
        // One more than were sent: some message came twice.
        let sequence = self.tally.expected(cell).min(flow.sent.checked_sub(1)?);
        Some((cell, Stamp { flow: topic, sequence, sent_at: None }))
    }

    /// A receiver has this message for the first time.
    fn close_window(&mut self, number: u32, sequence: u64) {
        let flow = &mut self.flows[number as usize];
        let newly = match self.load.is_ordered() {
            // There is one receiver for each, so each arrival is one message.
            false => 1,
            // The first receiver has it, so those before it have come or are lost.
            true => (sequence + 1).saturating_sub(flow.delivered),
        };
        flow.delivered = flow.delivered.max(sequence + 1);
        if newly == 0 {
            return;
        }
        let publisher = flow.publisher;
        let entry = &mut self.publishers[publisher as usize];
        entry.undelivered = entry.undelivered.saturating_sub(newly);
        self.mark_ready(publisher);
    }

    /// The broker has answered for a message, with success or not.
    fn settle(
        &mut self,
        role: Role,
        packet: PacketType,
        packet_id: PacketId,
        code: ReasonCode,
        now: u64,
        incidents: &mut Incidents,
    ) {
        let message = match role {
            Role::Publisher(publisher) => self.publishers[publisher as usize].ids.free(packet_id),
            _ => None,
        };
        let (Role::Publisher(publisher), Some(InFlight { flow, sent_at })) = (role, message) else {
            incidents.violate(format!("sent a {packet} for a packet identifier that is not in use"));
            return;
        };
        self.counts.settled += 1;
        self.ack_latencies.record(now.saturating_sub(sent_at));
        if code.is_error() {
            incidents.refuse(packet, code);
            let flow = &mut self.flows[flow as usize];
            flow.refused += 1;
            self.counts.expected -= u64::from(flow.copies);
            let entry = &mut self.publishers[publisher as usize];
            entry.undelivered = entry.undelivered.saturating_sub(1);
        }
        self.mark_ready(publisher);
    }
}

impl Flow {
    fn new(load: &Load, number: u32) -> Self {
        Self {
            publisher: load.publisher_of(number),
            topic: load.topic_of(number),
            copies: load.copies(number),
            first_cell: load.cells_of(number).start,
            sent: 0,
            refused: 0,
            delivered: 0,
        }
    }

    /// The place in the books of what this subscriber receives; none if it should receive nothing.
    fn cell(&self, load: &Load, subscriber: u32) -> Option<usize> {
        Some(self.first_cell + load.rank(self.topic, subscriber)? as usize)
    }
}

/// How many packet identifiers a publisher has.
fn ids_max(pace: Pace) -> u16 {
    match pace {
        Pace::Closed { window } => u16::try_from(window).unwrap_or(u16::MAX),
        Pace::Open(_) => u16::MAX,
    }
}

/// No machine sends more in a turn; a rate that asks for it must not keep the loop from its other work.
const PLANNED_PER_TURN: u64 = 100_000;

/// A publisher whose socket is behind by this much waits for it.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;
