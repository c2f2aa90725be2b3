//! Nothing is promised before the disk has it: DESIGN's table of what leaves when, on the real process.

use std::path::Path;

use noctule_codec::{Packet, PacketId, ProtocolVersion, Publish, QoS};
use noctule_engine::Record;
use noctule_session::SessionChange;

use super::client::{Client, EMPTY, Hello};
use super::trace::{Conversation, Trace, Written, look, traced};
use super::{SERVE, started};
use crate::support::folder;

/// A durable publisher and a durable subscriber with messages of both kinds, one by one and many at once; the trace.
fn trace_of_durable_clients(folder: &Path, arguments: &[&str]) -> Trace {
    let (broker, address) = started(&mut traced(folder, &[&SERVE[..], arguments].concat()));
    let mut panel = Client::durable(address, "panel");
    panel.subscribe("boiler/+", QoS::ExactlyOnce);
    panel.subscribe("pump", QoS::AtLeastOnce);
    let mut away = Client::durable(address, "away");
    away.subscribe("#", QoS::ExactlyOnce);
    away.leave();
    let mut sensor = Client::durable(address, "sensor");
    for number in 0..5 {
        sensor.publish("boiler/state", &format!("exactly {number}"), QoS::ExactlyOnce);
        sensor.publish("boiler/temperature", &format!("once {number}"), QoS::AtLeastOnce);
        sensor.retain("boiler/name", &format!("retained {number}"), QoS::AtLeastOnce);
    }
    for number in 0..50 {
        let payload = format!("many {number}");
        sensor.say(&Publish { topic: "pump", payload: payload.as_bytes(), qos: QoS::AtLeastOnce, ..EMPTY });
    }
    for _ in 0..50 {
        sensor.hear_ack();
    }
    panel.take(65);
    panel.ping();
    sensor.leave();
    panel.leave();
    broker.end();
    Trace::of(folder)
}

/// The records that a packet to a client waits for: what it is called and whether a record is it.
type Promise = (String, Box<dyn Fn(&Record) -> bool>);

/// What has to be in the journal before each packet of a conversation leaves, with the line on which it does.
fn promises(conversation: &Conversation) -> Vec<(usize, Promise)> {
    conversation
        .said
        .iter()
        .filter_map(|(line, packet)| Some((*line, promise(packet, conversation)?)))
        .collect()
}

fn promise(packet: &[u8], conversation: &Conversation) -> Option<Promise> {
    look(packet, false, |packet| match packet {
        Packet::ConnAck(_) => Some(opened(conversation)),
        Packet::SubAck(ack) => Some(subscribed(ack.packet_id, conversation)),
        Packet::PubAck(ack) => Some(published("PUBACK", ack.packet_id, conversation)),
        Packet::PubRec(ack) => Some(published("PUBREC", ack.packet_id, conversation)),
        Packet::PubComp(ack) => Some(changed("PUBCOMP", ack.packet_id, |change| match change {
            SessionChange::InboundReleased { packet_id } => Some(*packet_id),
            _ => None,
        })),
        Packet::Publish(publish) if publish.qos == QoS::ExactlyOnce => {
            Some(changed("PUBLISH", publish.packet_id.expect("above QoS 0"), |change| match change {
                SessionChange::Begun { packet_id, .. } => Some(*packet_id),
                _ => None,
            }))
        }
        Packet::PubRel(ack) => Some(changed("PUBREL", ack.packet_id, |change| match change {
            SessionChange::Received { packet_id } => Some(*packet_id),
            _ => None,
        })),
        _ => None,
    })
}

fn opened(conversation: &Conversation) -> Promise {
    let client_id = heard(conversation, |packet| match packet {
        Packet::Connect(connect) => Some(connect.client_id.to_owned()),
        _ => None,
    });
    let name = format!("CONNACK of {client_id}");
    let is_it = move |record: &Record| match record {
        Record::SessionOpened { client_id: opened, .. } => **opened == *client_id,
        _ => false,
    };
    (name, Box::new(is_it))
}

fn subscribed(id: PacketId, conversation: &Conversation) -> Promise {
    let filter = heard(conversation, |packet| match packet {
        Packet::Subscribe(subscribe) if subscribe.packet_id == id => {
            subscribe.filters.iter().next().map(|(filter, _)| filter.to_owned())
        }
        _ => None,
    });
    let name = format!("SUBACK of {filter}");
    let is_it = move |record: &Record| match record {
        Record::Session { change: SessionChange::Subscribed { filter: made, .. }, .. } => **made == *filter,
        _ => false,
    };
    (name, Box::new(is_it))
}

/// The publication that came under this packet identifier. Each is used once in these conversations.
fn published(name: &str, id: PacketId, conversation: &Conversation) -> Promise {
    let payload = heard(conversation, |packet| match packet {
        Packet::Publish(publish) if publish.packet_id == Some(id) => Some(publish.payload.to_vec()),
        _ => None,
    });
    let is_it = move |record: &Record| match record {
        Record::Published(frame) => frame.message.payload[..] == payload[..],
        _ => false,
    };
    (format!("{name} {}", id.get()), Box::new(is_it))
}

/// A change of a session that has this packet identifier.
fn changed(name: &str, id: PacketId, id_of: fn(&SessionChange) -> Option<PacketId>) -> Promise {
    let is_it = move |record: &Record| match record {
        Record::Session { change, .. } => id_of(change) == Some(id),
        _ => false,
    };
    (format!("{name} {}", id.get()), Box::new(is_it))
}

/// What the broker heard that the packet is about.
fn heard<T>(conversation: &Conversation, mut find: impl FnMut(&Packet<'_>) -> Option<T>) -> T {
    let found = conversation.heard.iter().find_map(|(_, packet)| look(packet, true, &mut find));
    found.expect("the client has asked for it")
}

/// Looks at all promises of all conversations; how many there were of each kind.
fn check(trace: &Trace, kept_at: impl Fn(&Written) -> Option<usize>) -> Vec<usize> {
    let records = trace.records();
    let mut counts = vec![0; KINDS.len()];
    for conversation in trace.conversations() {
        for (line, (name, is_it)) in promises(&conversation) {
            let kept = records.iter().filter(|written| is_it(&written.record)).filter_map(&kept_at).min();
            assert!(
                kept.is_some_and(|kept| kept < line),
                "{name} left on line {line}, its record came to {kept:?}"
            );
            let kind = KINDS.iter().position(|kind| name.starts_with(kind)).expect("a kind of promise");
            counts[kind] += 1;
        }
    }
    counts
}

const KINDS: [&str; 7] = ["CONNACK", "SUBACK", "PUBACK", "PUBREC", "PUBCOMP", "PUBLISH", "PUBREL"];
/// As many as the story has.
const COUNTS: [usize; 7] = [3, 3, 60, 5, 5, 5, 5];

#[test]
fn every_promise_leaves_after_a_completed_sync_of_its_record() {
    for shards in ["1", "2"] {
        let folder = folder(&format!("order_disk_{shards}"));
        let trace = trace_of_durable_clients(&folder, &["--shards", shards]);
        assert_eq!(check(&trace, |written| written.synced), COUNTS);
    }
}

#[test]
fn with_durability_os_every_promise_leaves_after_the_write_and_no_sync() {
    let folder = folder("order_os");
    let trace = trace_of_durable_clients(&folder, &["--durability", "os"]);
    assert_eq!(check(&trace, |written| Some(written.written)), COUNTS);
    let syncs = trace.calls.iter().filter(|call| call.name == "fdatasync" && call.file.ends_with(".seg"));
    // The end in order is one.
    assert!(syncs.count() <= 2, "nobody waits for the disk");
}

#[test]
fn with_durability_memory_nothing_is_written() {
    let folder = folder("order_memory");
    let trace = trace_of_durable_clients(&folder, &["--durability", "memory"]);
    assert!(!trace.conversations().is_empty());
    assert!(!trace.calls.iter().any(|call| call.name.starts_with("pwrite") || call.name.contains("sync")));
    assert!(!folder.join("noctule-data/journal").exists());
}

/// Messages of every QoS between clients whose sessions end with their connections.
#[test]
fn clients_without_durable_interest_cause_no_write() {
    let folder = folder("order_clean");
    let (broker, address) = started(&mut traced(&folder, &[&SERVE[..], &["--shards", "2"]].concat()));
    let mut panels: Vec<Client> = (0..4).map(|n| Client::clean(address, &format!("panel {n}"))).collect();
    panels.iter_mut().for_each(|panel| panel.subscribe("boiler/#", QoS::ExactlyOnce));
    // In 3.1.1 as well.
    let hello = Hello { version: ProtocolVersion::V3_1_1, ..Hello::clean("sensor") };
    let mut sensor = hello.connect(address);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for number in 0..10 {
            sensor.publish("boiler/temperature", &number.to_string(), qos);
        }
    }
    panels.iter_mut().for_each(|panel| assert_eq!(panel.take(30).len(), 30));
    broker.end();
    let trace = Trace::of(&folder);
    // A journal is begun with the broker, and ended with it.
    assert_eq!(trace.records().len(), 0);
    let writes = trace.calls.iter().filter(|call| call.is_write_to_a_segment());
    assert!(writes.count() <= 1, "only the mark at the end");
}
