//! Clients that mean ill, on real sockets: what they do costs others nothing.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use noctule_codec::{
    Connect, Packet, PacketId, Properties, Property, ReasonCode, Subscribe, SubscribeFilters,
    SubscriptionOptions,
};

use crate::peer::{Peer, connect, encoded, publish};
use crate::support::{Broker, folder, noctule, place};

fn start(test: &str, settings: &[&str]) -> (Broker, SocketAddr) {
    let mut arguments = vec!["--log", "off", "--listen", "tcp://127.0.0.1:0"];
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    let mut broker = Broker::start(&mut noctule(&folder(test), &arguments));
    let address = broker.address();
    (broker, address)
}

fn resident_bytes(broker: &Broker) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{}/statm", broker.child.id())).expect("a running broker");
    let pages: u64 = statm.split(' ').nth(1).expect("a second field").parse().expect("a number");
    pages * 4096
}

/// Two clients that must not notice anything.
fn bystander(address: SocketAddr) -> Peer {
    let mut peer = Peer::connect(address, "bystander");
    peer.subscribe("bystander");
    peer
}

#[test]
fn a_connect_that_comes_byte_by_byte_is_cut_off_and_nobody_waits() {
    let (_broker, address) = start("slow_loris", &["limits.connect_timeout=1s"]);
    let mut others = bystander(address);
    let mut slow: Vec<Peer> = (0..50).map(|_| Peer::dial(address)).collect();
    let bytes = encoded(&connect("slow"));
    for byte in &bytes[..bytes.len() - 1] {
        for peer in &mut slow {
            // The broker may have closed it already.
            let _ = peer.socket.write_all(&[*byte]);
        }
        others.round_trip("bystander");
    }
    assert!(slow.iter_mut().all(Peer::is_closed));
    others.round_trip("bystander");
}

/// A stopped terminal or a log driver that hangs: lines are lost, nobody waits.
#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let arguments = ["--listen", "tcp://127.0.0.1:0", "--log", "info"];
    let mut broker = Broker::start(&mut noctule(&folder("unread_log"), &arguments));
    let address = broker.address();
    for n in 0..1000 {
        Peer::connect(address, &format!("client-{n}-{}", "x".repeat(100)));
    }
    bystander(address).round_trip("bystander");
}

#[test]
fn a_packet_of_256_mib_is_refused_by_its_header() {
    let (broker, address) = start("huge", &[]);
    let mut others = bystander(address);
    let before = resident_bytes(&broker);

    let mut unknown = Peer::dial(address);
    unknown.socket.write_all(&[0x10, 0xff, 0xff, 0xff, 0x7f]).expect("the broker reads");
    assert!(unknown.is_closed());

    let mut known = Peer::connect(address, "known");
    known.socket.write_all(&[0x30, 0xff, 0xff, 0xff, 0x7f]).expect("the broker reads");
    let code = known.receive(|packet| match packet {
        Packet::Disconnect(disconnect) => disconnect.reason_code,
        packet => panic!("{packet:?} instead of DISCONNECT"),
    });
    assert_eq!(code, Some(ReasonCode::PacketTooLarge));
    others.round_trip("bystander");
    assert!(resident_bytes(&broker) < before + (16 << 20));
}

#[test]
fn the_last_packet_arrives_although_the_client_goes_on_sending() {
    let (_broker, address) = start("linger", &[]);
    let mut peer = Peer::connect(address, "talker");
    // A second CONNECT ends the connection; a megabyte behind it must not turn the answer into a reset.
    let mut bytes = encoded(&connect("talker"));
    bytes.resize(1 << 20, 0);
    peer.socket.write_all(&bytes).expect("the broker reads or discards");
    let code = peer.receive(|packet| match packet {
        Packet::Disconnect(disconnect) => disconnect.reason_code,
        packet => panic!("{packet:?} instead of DISCONNECT"),
    });
    assert_eq!(code, Some(ReasonCode::ProtocolError));
    assert_eq!(peer.receive(|_| ()), None);
}

#[test]
fn everything_in_one_segment_behind_connect_is_done_in_order() {
    let (_broker, address) = start("pipelined", &[]);
    let mut peer = Peer::dial(address);
    let mut filters = SubscribeFilters::default();
    filters.push("own/#", SubscriptionOptions::default());
    let packet_id = PacketId::new(1).expect("not zero");
    let subscribe = Subscribe { packet_id, properties: Properties::EMPTY, filters };
    let mut bytes = encoded(&connect("hasty"));
    bytes.extend(encoded(&Packet::Subscribe(subscribe)));
    bytes.extend(encoded(&Packet::Publish(publish("own/1", b"first"))));
    bytes.extend(encoded(&Packet::PingReq));
    peer.socket.write_all(&bytes).expect("the broker reads");
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.extend(peer.receive(|packet| match packet {
            Packet::ConnAck(_) => "CONNACK",
            Packet::SubAck(_) => "SUBACK",
            Packet::Publish(_) => "PUBLISH",
            Packet::PingResp => "PINGRESP",
            packet => panic!("{packet:?}"),
        }));
    }
    assert_eq!(kinds, ["CONNACK", "SUBACK", "PUBLISH", "PINGRESP"]);
}

#[test]
fn a_subscriber_that_never_reads_costs_bounded_memory_and_holds_nobody_up() {
    let (broker, address) = start("never_reads", &[]);
    let mut others = bystander(address);
    let mut deaf = Peer::connect(address, "deaf");
    deaf.subscribe("bulk");
    let mut publisher = Peer::connect(address, "publisher");
    let before = resident_bytes(&broker);
    let bulk = encoded(&Packet::Publish(publish("bulk", &[0; 1 << 20])));
    for _ in 0..1024 {
        publisher.socket.write_all(&bulk).expect("the broker reads");
        others.round_trip("bystander");
    }
    let grown = resident_bytes(&broker).saturating_sub(before);
    assert!(grown < 64 << 20, "the broker grew by {grown} bytes");
    drop(deaf);
    others.round_trip("bystander");
}

#[test]
fn a_hundred_thousand_filters_are_granted_up_to_the_bound_and_forgotten_with_their_session() {
    let (broker, address) = start("filters", &["limits.subscriptions_max=60000"]);
    let mut others = bystander(address);
    let before = resident_bytes(&broker);
    for round in 0..3 {
        let mut greedy = Peer::connect(address, "greedy");
        let (mut granted, mut refused) = (0, 0);
        for first in (0..100_000).step_by(1000) {
            let mut filters = SubscribeFilters::default();
            for n in first..first + 1000 {
                filters.push(&format!("device/{n}/state/of/something"), SubscriptionOptions::default());
            }
            let packet_id = PacketId::new(1).expect("not zero");
            greedy.send(&Packet::Subscribe(Subscribe { packet_id, properties: Properties::EMPTY, filters }));
            greedy.receive(|packet| match packet {
                Packet::SubAck(suback) => {
                    granted += suback.reason_codes.iter().filter(|code| !code.is_error()).count();
                    refused +=
                        suback.reason_codes.iter().filter(|code| **code == ReasonCode::QuotaExceeded).count();
                }
                packet => panic!("{packet:?} instead of SUBACK"),
            });
            others.round_trip("bystander");
        }
        assert_eq!((granted, refused), (60_000, 40_000), "round {round}");
    }
    others.round_trip("bystander");
    // Three sessions of 60,000 filters each would be well above this.
    let grown = resident_bytes(&broker).saturating_sub(before);
    assert!(grown < 100 << 20, "the broker grew by {grown} bytes");
}

#[test]
fn more_connections_than_allowed_are_told_so() {
    let (_broker, address) = start("surplus", &["limits.connections_max=10"]);
    let mut peers: Vec<Peer> = (0..10).map(|n| Peer::connect(address, &format!("peer-{n}"))).collect();
    let mut surplus = Peer::dial(address);
    surplus.send(&connect("surplus"));
    let code = surplus.receive(|packet| match packet {
        Packet::ConnAck(connack) => connack.reason_code,
        packet => panic!("{packet:?} instead of CONNACK"),
    });
    assert_eq!(code, Some(ReasonCode::QuotaExceeded));
    assert_eq!(surplus.receive(|_| ()), None);

    drop(peers.pop());
    drop(surplus);
    let admitted = (0..5000).any(|_| {
        let mut peer = Peer::dial(address);
        peer.send(&connect("next"));
        peer.receive(|packet| matches!(packet, Packet::ConnAck(ack) if !ack.reason_code.is_error()))
            == Some(true)
    });
    assert!(admitted, "a place that became free is given");
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let (broker, address) = start("storm", &[]);
    let mut others = bystander(address);
    let storm = |others: &mut Peer| {
        for wave in 0..10 {
            let peers: Vec<Peer> =
                (0..200).map(|n| Peer::connect(address, &format!("storm-{wave}-{n}"))).collect();
            others.round_trip("bystander");
            drop(peers);
        }
    };
    storm(&mut others);
    let before = resident_bytes(&broker);
    storm(&mut others);
    others.round_trip("bystander");
    let grown = resident_bytes(&broker).saturating_sub(before);
    assert!(grown < 16 << 20, "the broker grew by {grown} bytes");
}

#[test]
fn long_packets_that_never_end_are_bounded_by_the_memory_there_is() {
    let (broker, address) = start("unfinished", &["limits.memory_bytes_max=32MiB"]);
    let mut others = bystander(address);
    let before = resident_bytes(&broker);
    let mut bytes = encoded(&Packet::Publish(publish("t", &[0; 8_000_000])));
    bytes.truncate(7_000_000);
    let mut unfinished: Vec<Peer> =
        (0..20).map(|n| Peer::connect(address, &format!("unfinished-{n}"))).collect();
    for peer in &mut unfinished {
        // The broker may have no room for it and close.
        let _ = peer.socket.write_all(&bytes);
        others.round_trip("bystander");
    }
    let grown = resident_bytes(&broker).saturating_sub(before);
    assert!(grown < 100 << 20, "the broker grew by {grown} bytes");
    drop(unfinished);
    others.round_trip("bystander");
}

/// A large packet over a slow link takes longer than one and a half keep alives; one that stops is not waited for.
#[test]
fn a_long_packet_keeps_its_sender_alive_while_it_comes() {
    let (_broker, address) = start("slow_link", &[]);
    let mut peer = Peer::dial(address);
    let Packet::Connect(hello) = connect("camera") else { unreachable!("it is a CONNECT") };
    peer.send(&Packet::Connect(Connect { keep_alive_seconds: 3, ..hello }));
    let admitted = peer.receive(|packet| matches!(packet, Packet::ConnAck(it) if !it.reason_code.is_error()));
    assert_eq!(admitted, Some(true));
    let mut bytes = encoded(&Packet::Publish(publish("t", &[0; 200_000])));
    bytes.extend(encoded(&Packet::PingReq));
    peer.socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
    for part in bytes.chunks(bytes.len() / 14) {
        peer.socket.write_all(part).expect("the broker reads");
        // Half a second: 7 in all, where 4.5 are allowed to be silent.
        match peer.socket.read(&mut [0; 2]) {
            Ok(length) => assert_eq!(length, 2, "PINGRESP follows the packet, which keeps the connection"),
            Err(nothing_yet) => assert_eq!(nothing_yet.kind(), ErrorKind::WouldBlock),
        }
    }
    let mut stopped = encoded(&Packet::Publish(publish("t", &[0; 200_000])));
    stopped.truncate(100_000);
    peer.socket.write_all(&stopped).expect("the broker reads");
    peer.socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let code = peer.receive(|packet| match packet {
        Packet::Disconnect(disconnect) => disconnect.reason_code,
        packet => panic!("{packet:?}"),
    });
    assert_eq!(code, Some(ReasonCode::KeepAliveTimeout));
}

/// CONNECTs that arrive together fight for one client id within single turns of the broker.
#[test]
fn of_many_connections_with_one_client_id_one_stays_and_every_other_is_told() {
    let (_broker, address) = start("fight", &["limits.takeovers_undelayed_max=0"]);
    let Packet::Connect(mut durable) = connect("fought over") else { unreachable!("it is a CONNECT") };
    durable.clean_start = false;
    durable.properties = Properties::new().with(Property::SessionExpiryInterval(100));
    let bytes = encoded(&Packet::Connect(durable));
    let mut peers: Vec<Peer> = (0..500).map(|_| Peer::dial(address)).collect();
    for peer in &mut peers {
        peer.socket.write_all(&bytes).expect("the broker reads");
    }
    // Whoever came last may be any of them: all have been heard once a later client is served.
    bystander(address).round_trip("bystander");
    let mut survivors = Vec::new();
    for mut peer in peers {
        let admitted = peer.receive(|packet| match packet {
            Packet::ConnAck(connack) => !connack.reason_code.is_error(),
            packet => panic!("{packet:?} before CONNACK"),
        });
        assert!(admitted.is_some(), "a connection was closed without a word");
        peer.send_unless_closed(&Packet::PingReq);
        let last = peer.receive(|packet| match packet {
            Packet::PingResp => None,
            Packet::Disconnect(disconnect) => Some(disconnect.reason_code),
            packet => panic!("{packet:?}"),
        });
        match last {
            Some(None) => survivors.push(peer),
            Some(Some(code)) => assert_eq!(code, ReasonCode::SessionTakenOver),
            None => assert_eq!(admitted, Some(false), "closed without DISCONNECT"),
        }
    }
    assert_eq!(survivors.len(), 1);
    let survivor = &mut survivors[0];
    survivor.subscribe("own");
    survivor.round_trip("own");
}

/// A fight for a client id costs others nothing, is told once, and nobody in it is refused.
#[test]
fn of_5000_connections_with_one_client_id_each_is_let_in_and_others_are_served_meanwhile() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("its own limit");
    let arguments = ["--listen", "tcp://127.0.0.1:0", "--log", "warn"];
    let mut broker = Broker::start(&mut noctule(&folder("great_fight"), &arguments));
    let address = broker.address();
    let mut others = bystander(address);
    let bytes = encoded(&connect("fought over"));
    let mut peers = Vec::new();
    for n in 0..5000 {
        let mut peer = Peer::dial(address);
        peer.socket.write_all(&bytes).expect("the broker reads");
        peers.push(peer);
        if n % 50 == 0 {
            others.round_trip("bystander");
        }
    }
    for peer in &mut peers {
        let is_let_in =
            peer.receive(|packet| matches!(packet, Packet::ConnAck(it) if !it.reason_code.is_error()));
        assert_eq!(is_let_in, Some(true));
    }
    others.round_trip("bystander");
    let mut survivors = 0;
    for peer in &mut peers {
        peer.send_unless_closed(&Packet::PingReq);
        survivors += u32::from(peer.receive(|packet| *packet == Packet::PingResp) == Some(true));
    }
    assert_eq!(survivors, 1);
    let (_, log) = broker.end();
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains("two clients have one client id")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("fought over") && told[0].matches("127.0.0.1:").count() == 2, "{told:?}");
}

#[test]
fn what_is_pipelined_before_disconnect_is_answered() {
    let (_broker, address) = start("one_segment", &[]);
    let mut peer = Peer::dial(address);
    let mut bytes = encoded(&connect("brief"));
    let qos1 = noctule_codec::Publish {
        qos: noctule_codec::QoS::AtLeastOnce,
        packet_id: PacketId::new(7),
        ..publish("t", b"once")
    };
    bytes.extend(encoded(&Packet::Publish(qos1)));
    bytes.extend(encoded(&Packet::PingReq));
    bytes.extend([0xe0, 0]);
    peer.socket.write_all(&bytes).expect("the broker reads");
    assert_eq!(peer.receive(|packet| matches!(packet, Packet::ConnAck(_))), Some(true));
    assert_eq!(peer.receive(|packet| matches!(packet, Packet::PubAck(_))), Some(true));
    assert_eq!(peer.receive(|packet| matches!(packet, Packet::PingResp)), Some(true));
    assert_eq!(peer.receive(|_| ()), None);
}

#[test]
fn connections_that_come_too_fast_from_one_address_are_told_so_and_others_are_served() {
    let (_broker, address) = start("hasty", &["limits.address_connects_per_second_max=20"]);
    let mut others = bystander(address);
    let mut answers = Vec::new();
    for n in 0..100 {
        let mut peer = Peer::dial(address);
        peer.send_unless_closed(&connect(&format!("hasty-{n}")));
        answers.push(peer.receive(|packet| match packet {
            Packet::ConnAck(connack) => connack.reason_code,
            packet => panic!("{packet:?} before CONNACK"),
        }));
    }
    others.round_trip("bystander");
    let admitted = answers.iter().filter(|answer| **answer == Some(ReasonCode::Success)).count();
    let told = answers.iter().filter(|answer| **answer == Some(ReasonCode::ConnectionRateExceeded)).count();
    assert!((15..90).contains(&admitted) && told > 0, "{admitted} admitted, {told} told: {answers:?}");
}

#[test]
fn a_storm_of_connections_is_let_in_by_and_by_and_others_are_served_meanwhile() {
    let (_broker, address) = start("storm", &["limits.connects_per_second_max=50"]);
    let mut others = bystander(address);
    let began = Instant::now();
    let mut storm: Vec<Peer> = (0..150)
        .map(|n| {
            let mut peer = Peer::dial(address);
            peer.send(&connect(&format!("storm-{n}")));
            peer
        })
        .collect();
    for peer in &mut storm {
        others.round_trip("bystander");
        let is_let_in =
            peer.receive(|packet| matches!(packet, Packet::ConnAck(ack) if !ack.reason_code.is_error()));
        assert_eq!(is_let_in, Some(true));
    }
    // 50 and the one that is paid for later come in at once, the other 99 at 50 a second.
    assert!(began.elapsed() > Duration::from_millis(1_900), "{:?}", began.elapsed());
}

#[test]
fn each_listener_has_its_own_number_and_rate_of_connections() {
    let folder = folder("listener_limits");
    let text = "log = \"off\"\n[[listener]]\nurl = \"tcp://127.0.0.1:0\"\nconnections_max = 2\n\
                [[listener]]\nurl = \"ws://127.0.0.1:0\"\nconnects_per_second_max = 1\n\
                [[listener]]\nurl = \"unix:free.sock\"\n";
    fs::write(folder.join("noctule.toml"), text).expect("a writable folder for tests");
    let mut broker = Broker::start(&mut noctule(&folder, &["--config", "noctule.toml"]));
    let ready = broker.ready();
    let address: SocketAddr = place(&ready, "tcp://").parse().expect("an address");
    let _both = ["one", "two"].map(|client_id| Peer::connect(address, client_id));
    let mut third = Peer::dial(address);
    third.send(&connect("three"));
    let told = third.receive(|packet| match packet {
        Packet::ConnAck(connack) => connack.reason_code,
        packet => panic!("{packet:?} before CONNACK"),
    });
    assert_eq!(told, Some(ReasonCode::QuotaExceeded));
    std::os::unix::net::UnixStream::connect(folder.join("free.sock")).expect("another listener has room");
}
