//! The books of a run: what each publisher has under way, what was sent, what came, and how late.

use std::time::Duration;

use noctule_testkit::wire::{self, Frame, Malformed, Publish, first_byte};

use crate::histogram::Histogram;
use crate::options::{Options, PAYLOAD_BYTES_MIN};

pub(crate) struct Traffic {
    level: u8,
    qos: u8,
    window: u16,
    publishers: Vec<Publisher>,
    /// Publishers that may have room for another message; each once.
    ready: Vec<usize>,
    pub(crate) counts: Counts,
    pub(crate) latency: Histogram,
    /// Reused for every message; its head is written anew.
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Messages published.
    pub(crate) sent: u64,
    /// Copies that should be delivered.
    pub(crate) expected: u64,
    /// Copies that were delivered.
    pub(crate) received: u64,
}

struct Publisher {
    topic: String,
    /// Subscribers that receive each message.
    copies: u64,
    /// Copies under way.
    undelivered: u64,
    /// Packet ids not in use; one is taken with QoS 1 and 2.
    free_ids: Vec<u16>,
    is_ready: bool,
}

impl Traffic {
    pub(crate) fn new(options: &Options, topics: &[String]) -> Self {
        let publishers = topics.iter().enumerate().map(|(index, topic)| Publisher {
            topic: topic.clone(),
            copies: options.copies(index),
            undelivered: 0,
            free_ids: (1..=options.window()).collect(),
            is_ready: true,
        });
        Self {
            level: options.level,
            qos: options.qos,
            window: options.window(),
            publishers: publishers.collect(),
            ready: (0..topics.len()).collect(),
            counts: Counts::default(),
            latency: Histogram::new(),
            payload: vec![b'x'; options.payload],
        }
    }

    /// The next publisher that may have room.
    pub(crate) fn next_ready(&mut self) -> Option<usize> {
        let publisher = self.ready.pop()?;
        self.publishers[publisher].is_ready = false;
        Some(publisher)
    }

    /// Publishes until this publisher's window is full.
    pub(crate) fn fill_window(&mut self, index: usize, now: Duration, output: &mut Vec<u8>) {
        let publisher = &mut self.publishers[index];
        stamp(&mut self.payload, now, index);
        while publisher.undelivered + publisher.copies <= u64::from(self.window) * publisher.copies {
            let packet_id = match self.qos {
                0 => 0,
                _ => match publisher.free_ids.pop() {
                    Some(packet_id) => packet_id,
                    None => return,
                },
            };
            wire::push_publish(output, self.level, &publisher.topic, self.qos, packet_id, &self.payload);
            publisher.undelivered += publisher.copies;
            self.counts.sent += 1;
            self.counts.expected += publisher.copies;
        }
    }

    /// Takes note of a frame that reached this connection, and answers it.
    pub(crate) fn take(
        &mut self,
        connection: usize,
        frame: &Frame<'_>,
        now: Duration,
        output: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        if frame.is_publish() {
            return self.deliver(frame, now, output);
        }
        match frame.first_byte() {
            first_byte::PUBACK | first_byte::PUBCOMP => self.acknowledge(connection, frame.packet_id()?),
            first_byte::PUBREC => wire::push_acknowledgement(output, first_byte::PUBREL, frame.packet_id()?),
            first_byte::PUBREL => wire::push_acknowledgement(output, first_byte::PUBCOMP, frame.packet_id()?),
            _ => {}
        }
        Ok(())
    }

    /// What is under way never came and never will: the publishers may go on.
    pub(crate) fn give_up_waiting(&mut self) {
        for index in 0..self.publishers.len() {
            self.publishers[index].undelivered = 0;
            self.mark_ready(index);
        }
    }

    fn deliver(&mut self, frame: &Frame<'_>, now: Duration, output: &mut Vec<u8>) -> Result<(), Malformed> {
        let publish = Publish::parse(frame)?;
        let payload =
            if self.level == wire::LEVEL_5 { wire::split_properties(publish.rest)?.1 } else { publish.rest };
        let (sent_at, publisher) = read_stamp(payload).ok_or(Malformed)?;
        self.counts.received += 1;
        self.latency.record(now.saturating_sub(sent_at));

        let entry = self.publishers.get_mut(publisher).ok_or(Malformed)?;
        // A copy that was given up may still come.
        entry.undelivered = entry.undelivered.saturating_sub(1);
        self.mark_ready(publisher);
        match publish.qos {
            1 => wire::push_acknowledgement(output, first_byte::PUBACK, publish.packet_id),
            2 => wire::push_acknowledgement(output, first_byte::PUBREC, publish.packet_id),
            _ => {}
        }
        Ok(())
    }

    fn acknowledge(&mut self, connection: usize, packet_id: [u8; 2]) {
        if let Some(publisher) = self.publishers.get_mut(connection) {
            publisher.free_ids.push(u16::from_be_bytes(packet_id));
            self.mark_ready(connection);
        }
    }

    fn mark_ready(&mut self, index: usize) {
        let publisher = &mut self.publishers[index];
        if !publisher.is_ready {
            publisher.is_ready = true;
            self.ready.push(index);
        }
    }
}

impl Counts {
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            sent: self.sent - earlier.sent,
            expected: self.expected - earlier.expected,
            received: self.received - earlier.received,
        }
    }

    /// Copies that have not come. More can come than were sent, with QoS 1.
    pub(crate) fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }
}

/// Writes the head of a payload: when it was sent, in nanoseconds since the run began, and by whom.
fn stamp(payload: &mut [u8], now: Duration, publisher: usize) {
    let (time, publisher) = (now.as_nanos() as u64, publisher as u32);
    payload[..8].copy_from_slice(&time.to_be_bytes());
    payload[8..PAYLOAD_BYTES_MIN].copy_from_slice(&publisher.to_be_bytes());
}

fn read_stamp(payload: &[u8]) -> Option<(Duration, usize)> {
    let (time, rest) = payload.split_first_chunk()?;
    let publisher = u32::from_be_bytes(*rest.first_chunk()?);
    Some((Duration::from_nanos(u64::from_be_bytes(*time)), publisher as usize))
}
