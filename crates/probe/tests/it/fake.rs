//! A scripted broker: just enough MQTT to be measured, and one fault on demand.
//!
//! A thread per connection; topics match by name only; QoS 0 and 1 (a publication of QoS 2 is answered but its release
//! is not waited for). It ends when the test ends, with the process.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use noctule_codec::{
    Ack, ConnAck, Decoder, Disconnect, Packet, PacketId, Properties, Property, ProtocolVersion, Publish, QoS,
    ReasonCode, SubAck, Subscribe,
};
use noctule_probe::{Options, Scenario};

/// What the broker does wrong, if anything. Publications are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// This publication is acknowledged and not delivered.
    Lose(u64),
    /// This one is delivered twice.
    Duplicate(u64),
    /// This one is delivered after the next.
    Delay(u64),
    /// This one is delivered with another payload.
    Alter(u64),
    /// This one is not acknowledged.
    Ignore(u64),
    /// This one is answered with 0x97.
    RefusePublish(u64),
    /// At this one every connection is closed.
    Close(u64),
    /// At this one its sender is told 0x8B and disconnected.
    SayGoodbye(u64),
    /// After this one its sender gets bytes that are no packet.
    TalkNonsense(u64),
    /// After this one its sender gets an acknowledgement for nothing.
    AcknowledgeNothing(u64),
    /// Every CONNECT is answered with 0x87.
    RefuseConnect,
    /// Every SUBSCRIBE is answered with 0x8F.
    RefuseSubscribe,
    /// Subscriptions get QoS 0 at most.
    GrantLess,
    /// PINGREQ is not answered.
    IgnorePing,
    /// A connection is not closed after DISCONNECT.
    StayOpen,
    /// At most this many messages in flight are announced.
    ReceiveMaximum(u16),
}

/// A broker that listens on a free port of 127.0.0.1.
pub(crate) struct FakeBroker {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    fault: Fault,
    subscribers: HashMap<String, Vec<Subscriber>>,
    connections: Vec<TcpStream>,
    publications: u64,
    delayed: Option<Vec<u8>>,
    in_flight_max: usize,
}

struct Subscriber {
    socket: TcpStream,
    version: ProtocolVersion,
    qos: QoS,
}

impl FakeBroker {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = State {
            fault,
            subscribers: HashMap::new(),
            connections: Vec::new(),
            publications: 0,
            delayed: None,
            in_flight_max: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, state) = (socket.expect("a connection"), Arc::clone(&shared));
                thread::spawn(move || serve(socket, &state));
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Options for a short run with one publisher and one subscriber in MQTT 5.0.
    pub(crate) fn options(&self, scenario: Scenario) -> Options {
        let mut options = Options::new(scenario, self.url().parse().expect("a target"));
        options.version = ProtocolVersion::V5;
        options.qos = QoS::AtLeastOnce;
        (options.publishers, options.subscribers) = (1, 1);
        options.duration = Duration::from_millis(100);
        options.warm_up = Duration::from_millis(10);
        options.patience = Duration::from_millis(300);
        options
    }

    /// The most publications one read has brought.
    pub(crate) fn in_flight_max(&self) -> usize {
        self.state.lock().expect("no thread has panicked").in_flight_max
    }
}

/// Serves one connection until it is over.
fn serve(mut socket: TcpStream, state: &Mutex<State>) {
    socket.set_nodelay(true).expect("TCP has the option");
    state.lock().expect("no thread has panicked").connections.push(socket.try_clone().expect("a socket"));
    let mut decoder = Decoder::server(1 << 20);
    let (mut received, mut buffer) = (Vec::new(), vec![0; 65_536]);
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        received.extend_from_slice(&buffer[..count]);
        let (mut at, mut publications) = (0, 0);
        while let Some((packet, length)) = decoder.decode(&received[at..]).expect("the probe sends MQTT") {
            at += length;
            publications += usize::from(matches!(packet, Packet::Publish(_)));
            let version = decoder.version().expect("CONNECT came first");
            let mut state = state.lock().expect("no thread has panicked");
            state.in_flight_max = state.in_flight_max.max(publications);
            if !state.take(&packet, version, &mut socket) {
                // Closing is not enough, the state has a handle of its own.
                let _ = socket.shutdown(Shutdown::Both);
                return;
            }
        }
        received.drain(..at);
    }
}

impl State {
    /// Answers a packet; returns whether the connection goes on.
    fn take(&mut self, packet: &Packet<'_>, version: ProtocolVersion, socket: &mut TcpStream) -> bool {
        match packet {
            Packet::Connect(_) => send(socket, version, &self.connack()),
            Packet::Subscribe(subscribe) => self.subscribe(subscribe, version, socket),
            Packet::Publish(publish) => self.publish(publish, version, socket),
            Packet::PingReq if self.fault == Fault::IgnorePing => true,
            Packet::PingReq => send(socket, version, &Packet::PingResp),
            Packet::Disconnect(_) => self.fault == Fault::StayOpen,
            Packet::PubAck(_) => true,
            other => panic!("the probe sent {other:?}"),
        }
    }

    fn connack(&self) -> Packet<'static> {
        let mut properties = Properties::new();
        if let Fault::ReceiveMaximum(maximum) = self.fault {
            properties.push(Property::ReceiveMaximum(maximum));
        }
        let is_refused = self.fault == Fault::RefuseConnect;
        let reason_code = if is_refused { ReasonCode::NotAuthorized } else { ReasonCode::Success };
        Packet::ConnAck(ConnAck { session_present: false, reason_code, properties })
    }

    fn subscribe(
        &mut self,
        subscribe: &Subscribe<'_>,
        version: ProtocolVersion,
        socket: &mut TcpStream,
    ) -> bool {
        let mut reason_codes = Vec::new();
        for (filter, options) in subscribe.filters.iter() {
            let qos = if self.fault == Fault::GrantLess { QoS::AtMostOnce } else { options.qos };
            reason_codes.push(match self.fault {
                Fault::RefuseSubscribe => ReasonCode::TopicFilterInvalid,
                _ => ReasonCode::from_u8(qos as u8).expect("a granted QoS"),
            });
            let subscriber = Subscriber { socket: socket.try_clone().expect("a socket"), version, qos };
            self.subscribers.entry(filter.to_owned()).or_default().push(subscriber);
        }
        let properties = Properties::EMPTY;
        let suback = SubAck { packet_id: subscribe.packet_id, properties, reason_codes: reason_codes.into() };
        send(socket, version, &Packet::SubAck(suback))
    }

    fn publish(&mut self, publish: &Publish<'_>, version: ProtocolVersion, socket: &mut TcpStream) -> bool {
        let number = self.publications;
        self.publications += 1;
        let refuses = self.fault == Fault::RefusePublish(number);
        if !refuses {
            self.deliver(number, publish);
        }
        if let Some(packet_id) = publish.packet_id.filter(|_| self.fault != Fault::Ignore(number)) {
            let reason_code = if refuses { ReasonCode::QuotaExceeded } else { ReasonCode::Success };
            send(socket, version, &puback(packet_id, reason_code));
        }
        self.fault_after(number, version, socket)
    }

    fn deliver(&mut self, number: u64, publish: &Publish<'_>) {
        for subscriber in self.subscribers.get_mut(publish.topic).into_iter().flatten() {
            let payload = publish.payload.to_vec();
            let altered: Vec<u8> = payload.iter().map(|byte| byte ^ 0xFF).collect();
            let qos = subscriber.qos.min(publish.qos);
            let payload = if self.fault == Fault::Alter(number) { &altered } else { &payload };
            let frame = encoded(
                subscriber.version,
                &Packet::Publish(Publish { qos, payload, properties: Properties::EMPTY, ..publish.clone() }),
            );
            let frames = match self.fault {
                Fault::Lose(lost) if lost == number => Vec::new(),
                Fault::Duplicate(twice) if twice == number => [frame.clone(), frame].concat(),
                Fault::Delay(delayed) if delayed == number => {
                    self.delayed = Some(frame);
                    Vec::new()
                }
                _ => [frame, self.delayed.take().unwrap_or_default()].concat(),
            };
            // A subscriber that has gone gets nothing.
            let _ = subscriber.socket.write_all(&frames);
        }
    }

    fn fault_after(&mut self, number: u64, version: ProtocolVersion, socket: &mut TcpStream) -> bool {
        match self.fault {
            Fault::Close(at) if at == number => {
                for connection in &self.connections {
                    let _ = connection.shutdown(Shutdown::Both);
                }
                false
            }
            Fault::SayGoodbye(at) if at == number => {
                let reason_code = ReasonCode::ServerShuttingDown;
                let goodbye = Disconnect { reason_code, properties: Properties::EMPTY };
                send(socket, version, &Packet::Disconnect(goodbye))
            }
            Fault::TalkNonsense(at) if at == number => socket.write_all(&[0xFF; 4]).is_ok(),
            Fault::AcknowledgeNothing(at) if at == number => {
                let packet_id = PacketId::new(u16::MAX).expect("not 0");
                send(socket, version, &puback(packet_id, ReasonCode::Success))
            }
            _ => true,
        }
    }
}

fn puback(packet_id: PacketId, reason_code: ReasonCode) -> Packet<'static> {
    Packet::PubAck(Ack { packet_id, reason_code, properties: Properties::EMPTY })
}

/// Whether it could be sent.
fn send(socket: &mut TcpStream, version: ProtocolVersion, packet: &Packet<'_>) -> bool {
    socket.write_all(&encoded(version, packet)).is_ok()
}

fn encoded(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).expect("a packet of the probe's, or an answer to it");
    bytes
}
