//! What a restart keeps, and what it does with the time between.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use noctule_codec::{Packet, Properties, Property, Publish, QoS, Will};
use serde_json::Value;

use super::client::{Client, EMPTY, Heard, Hello, Message};
use super::start;
use crate::support::{Broker, folder, noctule, outcome};

/// How a broker comes to its end, with a name.
type End = (&'static str, fn(Broker));

const ENDS: [End; 2] = [("stopped", |broker| drop(broker.end())), ("killed", |broker| drop(broker.kill()))];

fn payloads(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.payload.as_str()).collect()
}

/// Of six messages two are settled, two sent and two not sent.
#[test]
fn a_stop_in_order_loses_nothing_and_nothing_settled_comes_again() {
    let folder = folder("restart_stop");
    let (broker, address) = start(&folder, &["--shards", "2"]);
    let mut sensor = Client::durable(address, "sensor");
    let mut panel = Client::durable(address, "panel");
    panel.subscribe("boiler/+", QoS::ExactlyOnce);
    sensor.publish("boiler/a", "settled 1", QoS::AtLeastOnce);
    sensor.publish("boiler/a", "settled 2", QoS::ExactlyOnce);
    assert_eq!(payloads(&panel.take(2)), ["settled 1", "settled 2"]);
    sensor.publish("boiler/a", "sent 1", QoS::AtLeastOnce);
    sensor.publish("boiler/a", "sent 2", QoS::ExactlyOnce);
    for payload in ["sent 1", "sent 2"] {
        assert!(matches!(panel.hear(), Some(Heard::Message(message)) if message.payload == payload));
    }
    drop(panel);
    // The broker has noticed that the panel is gone once somebody else has its session.
    let mut panel = Client::durable(address, "panel");
    assert_eq!(payloads(&[panel.hear_message(), panel.hear_message()]), ["sent 1", "sent 2"]);
    panel.leave();
    sensor.publish("boiler/a", "waiting 1", QoS::AtLeastOnce);
    sensor.publish("boiler/a", "waiting 2", QoS::ExactlyOnce);
    let open = sensor.say(&Publish { topic: "boiler/a", payload: b"once", qos: QoS::ExactlyOnce, ..EMPTY });
    assert!(matches!(sensor.hear_ack(), Heard::PubRec(id, _) if id == open));
    broker.end();

    let (code, stdout, _) = outcome(&mut noctule(&folder, &["store", "verify", "--json"]));
    let found: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((code, &found["is_whole"], &found["torn"]), (0, &true.into(), &Value::Null));

    let (_broker, address) = start(&folder, &["--shards", "2"]);
    let mut sensor = Client::durable(address, "sensor");
    assert!(sensor.session_present);
    // PUBREC may have been lost, so it comes again, and the message does not.
    sensor.repeat(&Publish { topic: "boiler/a", payload: b"once", qos: QoS::ExactlyOnce, ..EMPTY }, open);
    assert!(matches!(sensor.hear_ack(), Heard::PubRec(id, _) if id == open));
    sensor.say_ack(open, Packet::PubRel);
    assert!(matches!(sensor.hear_ack(), Heard::PubComp(id, _) if id == open));

    let mut panel = Client::durable(address, "panel");
    assert!(panel.session_present);
    let came = panel.take(5);
    panel.ping();
    assert_eq!(payloads(&came), ["sent 1", "sent 2", "waiting 1", "waiting 2", "once"]);
    assert!(came.iter().map(|message| message.dup).eq([true, true, false, false, false]), "{came:?}");
}

fn device(client_id: &str) -> Hello<'_> {
    let properties = Properties::EMPTY;
    let will =
        Will { topic: "status/device", payload: b"offline", qos: QoS::ExactlyOnce, retain: true, properties };
    Hello { will: Some(will), ..Hello::clean(client_id) }
}

/// Nobody stays `online` for ever: also the will of a clean client outlives the broker.
#[test]
fn wills_of_connected_clients_are_published_after_the_restart_and_once() {
    for (name, end) in ENDS {
        let folder = folder(&format!("restart_wills_{name}"));
        let (broker, address) = start(&folder, &["--shards", "2"]);
        let mut witness = Client::durable(address, "witness");
        witness.subscribe("status/+", QoS::ExactlyOnce);
        witness.leave();
        let _device = device("device").connect(address);
        end(broker);

        let (broker, address) = start(&folder, &["--shards", "2"]);
        assert_eq!(Client::durable(address, "witness").take_all(1), ["offline"], "{name}");
        end(broker);
        let (_broker, address) = start(&folder, &[]);
        Client::durable(address, "witness").take_all(0);
        let mut clean = Client::clean(address, "clean");
        clean.subscribe("status/device", QoS::AtMostOnce);
        assert_eq!(clean.take_all(1), ["offline"], "{name}: it was retained");
    }
}

#[test]
fn session_expiry_message_expiry_and_will_delay_count_while_the_broker_is_down() {
    for (name, end) in ENDS {
        let folder = folder(&format!("restart_downtime_{name}"));
        let (broker, address) = start(&folder, &[]);
        let mut witness = Client::durable(address, "witness");
        witness.subscribe("#", QoS::AtLeastOnce);
        witness.leave();
        // One second, or an hour: the first is over when the broker comes back, the second is not.
        let ids = |what: &str| ["soon", "late"].map(|when| format!("{what} {when}"));
        for (client_id, seconds) in ids("session").iter().zip([SOON, LATE]) {
            Hello { expiry: seconds, ..Hello::durable(client_id) }.connect(address).leave();
        }
        let devices = ids("device");
        let connected = devices.iter().zip([SOON, LATE]).map(|(client_id, seconds)| {
            let properties = Properties::new().with(Property::WillDelayInterval(seconds));
            let (payload, qos, retain) = (client_id.as_bytes(), QoS::AtLeastOnce, false);
            let will = Will { topic: "will", payload, qos, retain, properties };
            Hello { will: Some(will), ..Hello::durable(client_id) }.connect(address)
        });
        let _connected: Vec<Client> = connected.collect();
        let mut sensor = Client::clean(address, "sensor");
        for (payload, seconds) in ids("message").iter().zip([SOON, LATE]) {
            let properties = Properties::new().with(Property::MessageExpiryInterval(seconds));
            let (topic, payload, qos) = ("message", payload.as_bytes(), QoS::AtLeastOnce);
            let id = sensor.say(&Publish { topic, payload, qos, properties, ..EMPTY });
            assert!(matches!(sensor.hear_ack(), Heard::PubAck(acknowledged, _) if acknowledged == id));
        }
        end(broker);
        be_down();

        let (_broker, address) = start(&folder, &[]);
        let mut witness = Client::durable(address, "witness");
        let came = witness.take(2);
        witness.ping();
        assert_eq!(payloads(&came), ["message late", "device soon"], "{name}");
        assert!(came[0].expiry.is_some_and(|left| left < LATE), "{name}: {came:?}");
        let is_there = ids("session").map(|client_id| Client::durable(address, &client_id).session_present);
        assert_eq!(is_there, [false, true], "{name}");
        // It came back in time.
        Client::durable(address, "device late").leave();
        witness.ping();
    }
}

/// Until what is over soon is over.
#[expect(clippy::disallowed_methods, reason = "nothing happens that could be waited for")]
fn be_down() {
    thread::sleep(Duration::from_secs(2 * u64::from(SOON)));
}

/// Seconds that are over soon, and late.
const SOON: u32 = 1;
const LATE: u32 = 3600;

/// Sessions, groups, retained messages and open QoS 2 exchanges find their new homes.
#[test]
fn the_number_of_shards_may_change_from_start_to_start() {
    for (name, end) in ENDS {
        let folder = folder(&format!("restart_shards_{name}"));
        let names: Vec<String> = (0..12).map(|n| format!("panel {n}")).collect();
        let (broker, address) = start(&folder, &["--shards", "1"]);
        for client_id in &names {
            let mut panel = Client::durable(address, client_id);
            panel.subscribe("boiler/+", QoS::ExactlyOnce);
            panel.subscribe("$share/workers/job", QoS::AtLeastOnce);
            panel.leave();
        }
        publish_a_round(address, 0);
        let mut open = Client::durable(address, "open");
        let once = Publish { topic: "boiler/open", payload: b"open", qos: QoS::ExactlyOnce, ..EMPTY };
        let id = open.say(&once);
        assert!(matches!(open.hear_ack(), Heard::PubRec(..)));
        end(broker);
        for (round, shards) in [(1, "3"), (2, "2")] {
            let (broker, address) = start(&folder, &["--shards", shards]);
            publish_a_round(address, round);
            let mut open = Client::durable(address, "open");
            open.repeat(&once, id);
            assert!(matches!(open.hear_ack(), Heard::PubRec(acknowledged, _) if acknowledged == id));
            end(broker);
        }
        check_all_rounds(&folder, &names, name);
    }
}

fn publish_a_round(address: SocketAddr, round: usize) {
    let mut sensor = Client::clean(address, "sensor");
    for number in 0..5 {
        sensor.publish("boiler/temperature", &format!("{round}.{number}"), QoS::ExactlyOnce);
        sensor.publish("job", &format!("job {round}.{number}"), QoS::AtLeastOnce);
    }
    sensor.retain(&format!("retained/{round}"), &round.to_string(), QoS::AtLeastOnce);
}

fn check_all_rounds(folder: &Path, names: &[String], end: &str) {
    let (_broker, address) = start(folder, &["--shards", "3"]);
    let mut expected: Vec<String> =
        (0..3).flat_map(|round| (0..5).map(move |n| format!("{round}.{n}"))).collect();
    let mut jobs: Vec<String> = expected.iter().map(|number| format!("job {number}")).collect();
    expected.insert(5, "open".to_owned());
    for client_id in names {
        let mut panel = Client::durable(address, client_id);
        assert!(panel.session_present, "{client_id}, {end}");
        // The first member that is there gets what the group is owed.
        let mut came = panel.take_all(expected.len() + jobs.len());
        let taken: Vec<String> = came.extract_if(.., |payload| payload.starts_with("job")).collect();
        assert_eq!(taken, std::mem::take(&mut jobs), "{end}");
        assert_eq!(came, expected, "{client_id}, {end}");
    }
    let mut clean = Client::clean(address, "clean");
    clean.subscribe("retained/+", QoS::AtMostOnce);
    let mut retained = clean.take_all(3);
    retained.sort();
    assert_eq!(retained, ["0", "1", "2"], "{end}");
}
