//! Stopping in order, and two brokers in one place.

use std::net::SocketAddr;
use std::process::Command;

use noctule_codec::{Packet, Properties, QoS, ReasonCode, Will};
use rustix::process::{Pid, Signal, kill_process};

use crate::peer::{Peer, connect};
use crate::support::{Broker, folder, noctule, outcome};

fn serve(test: &str) -> Command {
    noctule(&folder(test), &["--log", "off", "--listen", "tcp://127.0.0.1:0"])
}

fn signal(broker: &Broker, signal: Signal) {
    let pid = Pid::from_child(&broker.child);
    kill_process(pid, signal).expect("a running broker");
}

/// Clients live on two shards; the wills of one reach the clients of the other before these are told to go.
#[test]
fn the_last_wills_cross_from_shard_to_shard() {
    let mut command = serve("last_wills");
    let mut broker = Broker::start(command.args(["--shards", "2", "--durability", "memory"]));
    let address = broker.address();
    let mut witnesses: Vec<Peer> = (0..4).map(|n| Peer::connect(address, &format!("witness-{n}"))).collect();
    witnesses.iter_mut().for_each(|witness| witness.subscribe("status/+"));
    let devices: Vec<Peer> = (0..20).map(|n| with_will(address, &format!("device-{n}"))).collect();
    signal(&broker, Signal::TERM);
    for witness in &mut witnesses {
        let mut wills = 0;
        let next = |witness: &mut Peer| {
            witness.receive(|packet| match packet {
                Packet::Publish(publish) if publish.topic.starts_with("status/") => None,
                Packet::Disconnect(disconnect) => Some(disconnect.reason_code),
                packet => panic!("{packet:?}"),
            })
        };
        let goodbye = loop {
            match next(witness).expect("a goodbye before the end") {
                None => wills += 1,
                Some(reason_code) => break reason_code,
            }
        };
        assert_eq!((wills, goodbye), (devices.len(), ReasonCode::ServerShuttingDown));
    }
    assert_eq!(broker.child.wait().expect("it ends").code(), Some(0));
}

/// A connected client whose will says that it is offline.
fn with_will(address: SocketAddr, client_id: &str) -> Peer {
    let mut device = Peer::dial(address);
    let topic = format!("status/{client_id}");
    let Packet::Connect(mut connect) = connect(client_id) else { unreachable!("it is a CONNECT") };
    let (payload, qos, retain) = (b"offline".as_slice(), QoS::AtMostOnce, false);
    connect.will = Some(Will { topic: &topic, payload, qos, retain, properties: Properties::EMPTY });
    device.send(&Packet::Connect(connect));
    assert_eq!(device.receive(|packet| matches!(packet, Packet::ConnAck(_))), Some(true));
    device
}

#[test]
fn sigterm_publishes_wills_says_0x8b_and_exits_with_0() {
    // What is remembered fires its wills after the next start; what is not fires them now.
    let mut broker = Broker::start(serve("sigterm").args(["--durability", "memory"]));
    let address = broker.address();
    let mut witness = Peer::connect(address, "witness");
    witness.subscribe("status/+");
    let mut device = Peer::dial(address);
    let Packet::Connect(mut with_will) = connect("device") else { unreachable!("it is a CONNECT") };
    with_will.will = Some(Will {
        topic: "status/device",
        payload: b"offline",
        qos: QoS::AtMostOnce,
        retain: false,
        properties: Properties::EMPTY,
    });
    device.send(&Packet::Connect(with_will));
    assert_eq!(device.receive(|packet| matches!(packet, Packet::ConnAck(_))), Some(true));

    signal(&broker, Signal::TERM);
    let will = witness
        .receive(|packet| matches!(packet, Packet::Publish(publish) if publish.topic == "status/device"));
    assert_eq!(will, Some(true));
    for peer in [&mut witness, &mut device] {
        let code = peer.receive(|packet| match packet {
            Packet::Disconnect(disconnect) => disconnect.reason_code,
            packet => panic!("{packet:?} instead of DISCONNECT"),
        });
        assert_eq!(code, Some(ReasonCode::ServerShuttingDown));
        assert_eq!(peer.receive(|_| ()), None, "nothing follows DISCONNECT");
    }
    assert!(broker.child.wait().expect("it ends").success());
}

#[test]
fn sigint_stops_as_well_and_sighup_does_not() {
    let mut broker = Broker::start(&mut serve("sighup"));
    let address = broker.address();
    let mut peer = Peer::connect(address, "peer");
    peer.subscribe("t");
    signal(&broker, Signal::HUP);
    peer.round_trip("t");
    signal(&broker, Signal::INT);
    assert!(broker.child.wait().expect("it ends").success());
}

#[test]
fn a_client_that_does_not_read_does_not_hold_up_the_stop() {
    let mut broker = Broker::start(&mut serve("stop_slow"));
    let address = broker.address();
    let mut slow = Peer::connect(address, "slow");
    slow.subscribe("bulk");
    let mut publisher = Peer::connect(address, "publisher");
    publisher.subscribe("own");
    for _ in 0..200 {
        publisher.send(&Packet::Publish(crate::peer::publish("bulk", &[0; 65_536])));
    }
    publisher.round_trip("own");
    signal(&broker, Signal::TERM);
    assert!(broker.child.wait().expect("it ends").success());
}

#[test]
fn a_second_broker_in_the_same_data_directory_is_one_line_and_exit_code_1() {
    let folder = folder("data_dir_twice");
    for durability in ["disk", "memory"] {
        let arguments = ["--log", "off", "--listen", "tcp://127.0.0.1:0", "--durability", durability];
        let mut first = Broker::start(&mut noctule(&folder, &arguments));
        first.ready();
        let (code, stdout, stderr) = outcome(&mut noctule(&folder, &arguments));
        let expected = "noctule: the data directory ./noctule-data is in use by another noctule; \
                        stop it or choose another with --data-dir\n";
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (1, "", expected), "{durability}");
    }
}
