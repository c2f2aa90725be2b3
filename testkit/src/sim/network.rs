//! The network between simulated clients and the broker: bytes on their way, and what can happen to them.

use super::Random;
use noctule_codec::{Decoder, PacketType, ProtocolVersion};
use noctule_session::Instant;
use std::collections::VecDeque;

/// What the network does to connections. The default does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Bytes arrive up to this much later, in milliseconds.
    pub latency_millis_max: usize,
    /// Every connection but one in this many is cut after some bytes in one of its directions; 0: none is.
    pub spared_one_in: usize,
    /// A connection that is to be cut carries fewer bytes than this in that direction.
    pub bytes_until_cut: usize,
    /// Either end learns of a cut up to this much later, in milliseconds; one in four ends never does.
    pub notice_millis_max: usize,
    /// One client in this many reads a little at a time; 0: none does.
    pub slow_reader_one_in: usize,
    /// Chunks of bytes arrive in pieces.
    pub fragments: bool,
    /// What it does wrong, to show that the checks can fail.
    pub mangle: Option<Mangle>,
}

/// Something that TCP never does: the network loses a whole packet and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mangle {
    /// Every fifth PUBLISH above QoS 0 from the broker.
    LosePublish,
    /// Every fifth PUBLISH above QoS 0 from the broker comes twice.
    RepeatPublish,
    /// Every fifth PUBREL from a client.
    LosePubRel,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    chunks: VecDeque<(Instant, Vec<u8>)>,
    last_arrival: Instant,
    /// Bytes that it still carries before it is cut.
    budget: Option<usize>,
    pub(super) is_cut: bool,
    pub(super) has_ended: bool,
    packets: usize,
}

impl Pipe {
    pub(super) fn new(budget: Option<usize>) -> Self {
        Self { budget, ..Self::default() }
    }

    /// Sends bytes, which arrive later, in order, and perhaps in pieces.
    pub(super) fn send(&mut self, mut bytes: Vec<u8>, now: Instant, faults: &Faults, random: &mut Random) {
        if self.is_cut || self.has_ended || bytes.is_empty() {
            return;
        }
        if let Some(budget) = &mut self.budget {
            bytes.truncate(*budget);
            *budget -= bytes.len();
            self.is_cut = *budget == 0;
        }
        while !bytes.is_empty() {
            let piece = if faults.fragments { 1 + random.below(bytes.len()) } else { bytes.len() };
            let rest = bytes.split_off(piece);
            self.last_arrival =
                self.last_arrival.max(now + random.below(faults.latency_millis_max + 1) as u64);
            self.chunks.push_back((self.last_arrival, bytes));
            bytes = rest;
        }
    }

    /// Bytes that have arrived.
    pub(super) fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (at, _) = self.chunks.front()?;
        if *at > now { None } else { self.chunks.pop_front().map(|(_, bytes)| bytes) }
    }

    /// When the next bytes arrive.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.chunks.front().map(|(at, _)| *at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Everything on its way is lost, and nothing more is carried.
    pub(super) fn cut(&mut self) {
        self.chunks.clear();
        self.is_cut = true;
    }

    /// It is not to be cut any more, unless it has been.
    pub(super) fn spare(&mut self) {
        self.budget = None;
    }

    /// Loses or repeats whole packets in bytes that consist of whole packets.
    pub(super) fn mangle(&mut self, bytes: &[u8], version: ProtocolVersion, mangle: Mangle) -> Vec<u8> {
        let mut rest = bytes;
        let mut out = Vec::with_capacity(bytes.len());
        // PUBLISH and PUBREL look the same from both ends, so one decoder measures both directions.
        let decoder = Decoder::client(version, u32::MAX);
        while let Some(&first_byte) = rest.first() {
            let length = decoder.packet_len(rest).ok().flatten().unwrap_or(rest.len()).min(rest.len());
            let (packet, behind) = rest.split_at(length);
            rest = behind;
            let is_meant = match mangle {
                Mangle::LosePublish | Mangle::RepeatPublish => {
                    first_byte >> 4 == PacketType::Publish as u8 && first_byte & 0b0110 != 0
                }
                Mangle::LosePubRel => first_byte >> 4 == PacketType::PubRel as u8,
            };
            self.packets += usize::from(is_meant);
            let is_hit = is_meant && self.packets.is_multiple_of(5);
            let copies = match mangle {
                _ if !is_hit => 1,
                Mangle::RepeatPublish => 2,
                Mangle::LosePublish | Mangle::LosePubRel => 0,
            };
            (0..copies).for_each(|_| out.extend_from_slice(packet));
        }
        out
    }
}
