//! The reference relay, over real sockets on free ports, alone and under the load of `noctule bench`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use noctule_probe::{Options, ProtocolVersion, QoS, Scenario, run};
use noctule_testkit::wire::{self, Frame, LEVEL_3_1_1, LEVEL_5, first_byte};

/// A running relay; it ends with the test.
struct Relay {
    process: Child,
    address: SocketAddr,
}

impl Relay {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
        let mut process = command
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the relay starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("piped above");
        BufReader::new(output).read_line(&mut line).expect("the relay says where it listens");
        let address = line.trim().strip_prefix("relay ready: ").and_then(|address| address.parse().ok());
        Self { process, address: address.unwrap_or_else(|| panic!("not a ready line: {line}")) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.process.kill().expect("the relay runs until it is ended");
        self.process.wait().expect("it has been ended");
    }
}

/// A short run against the relay, with its processor time.
fn options(relay: &Relay, scenario: Scenario) -> Options {
    let target = format!("mqtt://{}", relay.address).parse().expect("the address of the relay");
    Options {
        pid: Some(relay.process.id()),
        duration: Duration::from_millis(200),
        warm_up: Duration::from_millis(50),
        ..Options::new(scenario, target)
    }
}

#[test]
fn nothing_is_lost_in_any_shape_qos_and_version() {
    let relay = Relay::start();
    let shapes =
        [(Scenario::P2p, 5, 5), (Scenario::P2p, 2, 6), (Scenario::FanOut, 1, 20), (Scenario::FanIn, 20, 1)];
    for (scenario, publishers, subscribers) in shapes {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
                let options = options(&relay, scenario);
                let report = run(&Options { publishers, subscribers, qos, version, ..options });
                let report = report.expect("the relay is there");
                assert!(report.is_clean, "{report}");
                let broker = report.phases[0].broker.expect("a process was named");
                assert!(report.phases[0].messages > 0 && broker.cpu_us_per_message > 0.0, "{report}");
            }
        }
    }
}

#[test]
fn large_payloads_and_windows_pass() {
    let relay = Relay::start();
    let pairs = Options { publishers: 2, subscribers: 2, ..options(&relay, Scenario::P2p) };
    let report = run(&Options { payload_bytes: 100_000, ..pairs }).expect("the relay is there");
    assert!(report.is_clean, "{report}");
    let fan_in = Options { publishers: 3, window: 5_000, ..options(&relay, Scenario::FanIn) };
    let report = run(&Options { qos: QoS::AtLeastOnce, ..fan_in }).expect("the relay is there");
    assert!(report.is_clean, "{report}");
}

#[test]
fn control_packets_are_answered_byte_by_byte() {
    let relay = Relay::start();
    let mut stream = connect(&relay, LEVEL_3_1_1);
    let mut request = Vec::new();
    wire::push_subscribe(&mut request, LEVEL_3_1_1, 10, ["a", "b/c"].into_iter(), 2);
    wire::push_publish(&mut request, LEVEL_3_1_1, "a", 2, 11, b"hello");
    wire::push_acknowledgement(&mut request, first_byte::PUBREL, [0, 11]);
    wire::push_acknowledgement(&mut request, first_byte::PUBREC, [0, 12]);
    wire::push_publish(&mut request, LEVEL_3_1_1, "elsewhere", 1, 13, b"");
    wire::push_frame(&mut request, first_byte::PINGREQ, &[]);
    for byte in request {
        stream.write_all(&[byte]).expect("the relay reads");
    }

    let mut expected = vec![first_byte::SUBACK, 4, 0, 10, 2, 2];
    wire::push_publish(&mut expected, LEVEL_3_1_1, "a", 2, 11, b"hello");
    expected.extend_from_slice(&[first_byte::PUBREC, 2, 0, 11, first_byte::PUBCOMP, 2, 0, 11]);
    expected.extend_from_slice(&[first_byte::PUBREL, 2, 0, 12, first_byte::PUBACK, 2, 0, 13]);
    expected.extend_from_slice(&[first_byte::PINGRESP, 0]);
    assert_eq!(read(&mut stream, expected.len()), expected);
}

#[test]
fn version_5_answers_have_properties() {
    let relay = Relay::start();
    let mut stream = connect(&relay, LEVEL_5);
    let mut request = Vec::new();
    wire::push_subscribe(&mut request, LEVEL_5, 10, ["a"].into_iter(), 1);
    stream.write_all(&request).expect("the relay reads");
    assert_eq!(read(&mut stream, 6), [first_byte::SUBACK, 4, 0, 10, 0, 1]);
}

#[test]
fn what_is_not_mqtt_ends_the_connection_and_nothing_else() {
    let relay = Relay::start();
    let mut witness = connect(&relay, LEVEL_3_1_1);
    for bytes in [
        &[0xF0, 0][..],
        &[0x30, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x30, 1, 0],
        &[0x36, 4, 0, 0, 0, 1],
        &[0x82, 1, 0],
    ] {
        let mut stream = connect(&relay, LEVEL_3_1_1);
        stream.write_all(bytes).expect("the relay reads");
        assert_eq!(stream.read(&mut [0; 16]).expect("the relay closes"), 0, "{bytes:?}");
    }
    witness.write_all(&[first_byte::PINGREQ, 0]).expect("the relay reads");
    assert_eq!(read(&mut witness, 2), [first_byte::PINGRESP, 0]);
}

fn connect(relay: &Relay, level: u8) -> TcpStream {
    let mut stream = TcpStream::connect(relay.address).expect("the relay listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("ten seconds are a timeout");
    stream.set_nodelay(true).expect("TCP has the option");
    let mut request = Vec::new();
    wire::push_connect(&mut request, level, "test");
    stream.write_all(&request).expect("the relay reads");
    let length = if level == LEVEL_5 { 5 } else { 4 };
    let connack = read(&mut stream, length);
    let frame = Frame::cut(&connack).expect("an MQTT frame").expect("the whole frame");
    assert_eq!((frame.first_byte(), &frame.body[..2]), (first_byte::CONNACK, &[0, 0][..]));
    stream
}

fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).expect("the relay answers within ten seconds");
    bytes
}
