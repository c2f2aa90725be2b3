//! Users, topics and actions, on mosquitto and on noctule with the same `password_file` and `acl_file`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use noctule_codec::{
    Packet, PacketId, Properties, ProtocolVersion, Publish, QoS, Subscribe, SubscribeFilters,
    SubscriptionOptions, Will,
};

use super::mosquitto::{Mosquitto, program};
use crate::peer::{Peer, connect, publish};
use crate::support::{Broker, folder, noctule};

const ACL: &str = "\
# Before the first user: clients without user name.
topic readwrite open/#
topic deny open/secret
topic read news/+

user admin
topic readwrite #

user anna
topic readwrite anna/#
topic deny anna/private/#
topic write in/anna
topic read news/#
topic read with space/a b

user bert
topic read #
topic deny hidden/#
topic read $odd/#

pattern readwrite home/%u/#
pattern read status/%c/+
pattern write log/%u
pattern deny home/%u/locked
";

const TOPICS: [&str; 27] = [
    "open/a",
    "open/secret",
    "open/secret/below",
    "open",
    "news/a",
    "news/a/b",
    "anna/a",
    "anna",
    "anna/private",
    "anna/private/a",
    "in/anna",
    "in/bert",
    "hidden/a",
    "hidden",
    "home/anna/a",
    "home/anna/locked",
    "home/bert/a",
    "home/bert/locked/a",
    "home/carl/a",
    "home",
    "status/anna-client/a",
    "status/anna-client/a/b",
    "status/bert-client/a",
    "log/anna",
    "log/bert",
    "with space/a b",
    "/",
];

const FILTERS: [&str; 7] = ["#", "+/+", "open/secret", "hidden/#", "home/+/a", "$share/g/anna/#", "log/anna"];

/// Who asks: a user name, if there is one, and a client id.
const CLIENTS: [(Option<&str>, &str); 7] = [
    (None, "nobody"),
    (Some("anna"), "anna-client"),
    (Some("bert"), "bert-client"),
    (Some("carl"), "carl"),
    (Some("x+y"), "plain"),
    (Some("anna"), "with#wildcard"),
    (None, "anna-client"),
];

/// What a client could do, one line for each thing that was let through.
type Observed = BTreeSet<String>;

fn come_in(address: SocketAddr, client_id: &str, user: Option<&str>) -> Option<Peer> {
    let user = user.map(|name| (name, "secret"));
    Peer::connect_as(address, ProtocolVersion::V3_1_1, client_id, user).ok()
}

/// A client that may do everything and hears everything.
fn admin(address: SocketAddr, client_id: &str) -> Peer {
    let mut admin = come_in(address, client_id, Some("admin")).expect("the administrator is let in");
    admin.subscribe("#");
    admin
}

fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).expect("not zero")
}

fn topics_heard(peer: &mut Peer) -> Vec<String> {
    peer.drain(|packet| match packet {
        Packet::Publish(publish) if !publish.payload.is_empty() => Some(publish.topic.to_owned()),
        _ => None,
    })
}

/// Publishes on every topic at QoS 1, and waits for the acknowledgements.
fn publish_all(peer: &mut Peer, retain: bool, payload: &[u8]) {
    for (topic, id) in TOPICS.into_iter().zip(1..) {
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            retain,
            packet_id: Some(packet_id(id)),
            ..publish(topic, payload)
        };
        peer.send(&Packet::Publish(publish));
        let answered = peer.receive(|packet| matches!(packet, Packet::PubAck(_) | Packet::Publish(_)));
        assert_eq!(answered, Some(true), "{topic}");
    }
}

/// What this client may do, seen by itself and by somebody who sees everything.
fn observe(address: SocketAddr, user: Option<&str>, client_id: &str) -> Observed {
    let mut seen = Observed::new();
    let mut watcher = admin(address, "watcher");
    let Some(mut client) = come_in(address, client_id, user) else {
        return ["is not let in".to_owned()].into();
    };
    seen.extend(subscribe_codes(&mut client));

    publish_all(&mut watcher, false, b"to all");
    topics_heard(&mut watcher);
    seen.extend(topics_heard(&mut client).into_iter().map(|topic| format!("receives {topic}")));

    publish_all(&mut client, false, b"from it");
    client.drain(|_| None::<()>);
    seen.extend(topics_heard(&mut watcher).into_iter().map(|topic| format!("publishes {topic}")));

    publish_all(&mut client, true, b"kept");
    client.drain(|_| None::<()>);
    let mut late = admin(address, "late");
    seen.extend(topics_heard(&mut late).into_iter().map(|topic| format!("retains {topic}")));
    publish_all(&mut late, true, b"");
    late.drain(|_| None::<()>);
    drop((client, late));

    for topic in TOPICS {
        leave_will(address, user, client_id, topic);
    }
    seen.extend(topics_heard(&mut watcher).into_iter().map(|topic| format!("has its will on {topic}")));
    seen
}

fn subscribe_codes(client: &mut Peer) -> Vec<String> {
    let mut filters = SubscribeFilters::default();
    FILTERS.iter().for_each(|filter| filters.push(filter, SubscriptionOptions::default()));
    let subscribe = Subscribe { packet_id: packet_id(9), properties: Properties::EMPTY, filters };
    client.send(&Packet::Subscribe(subscribe));
    let codes = client.receive(|packet| match packet {
        Packet::SubAck(suback) => suback.reason_codes.to_vec(),
        packet => panic!("SUBSCRIBE was answered by {packet:?}"),
    });
    let codes = codes.expect("SUBACK");
    FILTERS.iter().zip(codes).map(|(filter, code)| format!("subscribes to {filter}: {code:?}")).collect()
}

/// Comes in with a will and is thrown out for a mistake. Mosquitto asks for the will when it is published, noctule at
/// CONNECT as well.
fn leave_will(address: SocketAddr, user: Option<&str>, client_id: &str, topic: &str) {
    let Packet::Connect(plain) = connect(client_id) else { unreachable!("it is one") };
    let will =
        Will { topic, payload: b"gone", qos: QoS::AtMostOnce, retain: false, properties: Properties::EMPTY };
    let mut peer = Peer::dial(address).speaking(ProtocolVersion::V3_1_1);
    peer.send(&Packet::Connect(noctule_codec::Connect {
        version: ProtocolVersion::V3_1_1,
        will: Some(will),
        user_name: user,
        password: user.map(|_| &b"secret"[..]),
        ..plain
    }));
    let is_in = peer.receive(|packet| matches!(packet, Packet::ConnAck(ack) if !ack.reason_code.is_error()));
    if is_in == Some(true) {
        peer.socket.write_all(b"\0\0").expect("the broker reads");
        assert!(peer.is_closed(), "no packet has the type 0");
    }
}

fn make_users(folder: &Path) {
    for (place, user) in ["admin", "anna", "bert", "carl", "x+y"].into_iter().enumerate() {
        let mut tool = program("mosquitto_passwd");
        tool.current_dir(folder).args(if place == 0 { &["-c", "-b"][..] } else { &["-b"] });
        let made = tool.args(["passwd", user, "secret"]).status().expect("Debian package mosquitto");
        assert!(made.success());
    }
    fs::write(folder.join("acl"), ACL).expect("a writable folder");
}

#[test]
fn noctule_lets_through_what_mosquitto_lets_through() {
    let folder = folder("matrix");
    make_users(&folder);
    let mosquitto = Mosquitto::start(&folder, "allow_anonymous true\npassword_file passwd\nacl_file acl\n");
    let settings = [
        "access.anonymous=always",
        "access.mosquitto_password_file=passwd",
        "access.mosquitto_acl_file=acl",
        "shards=1",
        "durability=memory",
    ];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let arguments: Vec<&str> = ["--listen", "tcp://127.0.0.1:0"].into_iter().chain(settings).collect();
    let mut broker = Broker::start(&mut noctule(&folder, &arguments));
    let ours = broker.address();
    let mut let_through = Observed::new();
    for (user, client_id) in CLIENTS {
        let theirs = observe(mosquitto.address, user, client_id);
        let found = observe(ours, user, client_id);
        let missing: Vec<_> = theirs.difference(&found).collect();
        let surplus: Vec<_> = found.difference(&theirs).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "user {user:?}, client {client_id:?}: mosquitto alone {missing:#?}, noctule alone {surplus:#?}"
        );
        let_through.extend(found);
    }
    for kind in ["subscribes to ", "receives ", "publishes ", "retains ", "has its will on "] {
        let of_kind = let_through.iter().filter(|what| what.starts_with(kind)).count();
        assert!(of_kind > 5, "{of_kind}: {kind}");
    }
}
