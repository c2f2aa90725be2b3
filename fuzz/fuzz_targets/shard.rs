//! A whole broker in memory, spoken to by clients that say anything.
//!
//! The input is a script: each step is one byte for what happens, one for the connection it happens on, and
//! for bytes a length and the bytes. Nothing may panic, answers must be packets, and a bystander that keeps to
//! the rules gets what it is owed at the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use noctule_codec::{Decoder, Packet, ProtocolVersion, QoS};
use noctule_session::Limits;
use noctule_testkit::sim::{Sim, SimOptions, connect, publish, subscribe};

fuzz_target!(|input: &[u8]| {
    let Some((setup, script)) = input.split_first() else { return };
    let mut sim = Sim::with(options(*setup));
    let bystander = sim.open();
    sim.send(bystander, &connect(ProtocolVersion::V5, "bystander"));
    sim.send(bystander, &subscribe(1, &[("bystander/own", QoS::ExactlyOnce)]));
    let mut wires = Vec::new();
    let mut script = Script(script);
    while let Some(step) = script.byte() {
        play(&mut sim, &mut wires, step, &mut script);
    }
    for wire in wires {
        sim.cut(wire);
    }
    sim.run();
    read(&mut sim, bystander, |_| true);
    sim.send(bystander, &Packet::Publish(publish("bystander/own", b"still here", QoS::AtMostOnce, 0)));
    let owed =
        |packet: &Packet<'_>| matches!(packet, Packet::Publish(publish) if publish.payload == b"still here");
    assert_eq!(read(&mut sim, bystander, owed), 1, "the bystander gets what it is owed");
});

/// Small limits, so that they are reached.
fn options(setup: u8) -> SimOptions {
    let limits = Limits {
        packet_bytes_max: 4096,
        receive_maximum: 4,
        inflight_messages_max: 3,
        inflight_messages_max_v3: 2,
        queue_bytes_max: 4096,
        queue_qos0: setup & 4 > 0,
        output_bytes_max: 2048,
        retained_messages_max: 8,
        subscriptions_max: 8,
        topic_alias_maximum: 3,
        topic_levels_max: 8,
        ..Limits::default()
    };
    let shards = if setup & 1 > 0 { 3 } else { 1 };
    SimOptions { seed: u64::from(setup), shards, limits, shuffled: setup & 2 > 0, ..SimOptions::default() }
}

struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}

fn play(sim: &mut Sim, wires: &mut Vec<usize>, step: u8, script: &mut Script<'_>) {
    let choice = usize::from(script.byte().unwrap_or(0));
    let Some(&wire) = wires.get(choice % wires.len().max(1)) else {
        return wires.push(dial(sim, choice));
    };
    match step % 6 {
        0 => wires.push(dial(sim, choice)),
        1 | 2 => sim.send_bytes(wire, script.bytes()),
        3 => sim.cut(wire),
        4 => sim.advance(choice as u64 * 100),
        _ => {
            read(sim, wire, |_| true);
        }
    }
}

/// Reads what the broker sent, which must be packets, and counts those that are looked for.
fn read(sim: &mut Sim, wire: usize, is_it: impl Fn(&Packet<'_>) -> bool) -> usize {
    let mut decoder = Decoder::client(sim.wire(wire).version, u32::MAX);
    let bytes = sim.wire(wire).take_unread();
    let (mut rest, mut count) = (&bytes[..], 0);
    while let Some((packet, length)) = decoder.decode(rest).expect("the broker sends packets") {
        count += usize::from(is_it(&packet));
        rest = &rest[length..];
    }
    assert!(rest.is_empty(), "the broker sends whole packets");
    count
}

/// A connection, with or without a CONNECT; few client ids, so that they meet.
fn dial(sim: &mut Sim, choice: usize) -> usize {
    let wire = sim.open();
    let versions = [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5];
    if let Some(version) = versions.get(choice % 4) {
        let ids = ["a", "b", "c"];
        sim.send(wire, &connect(*version, ids[choice / 4 % ids.len()]));
    }
    wire
}
