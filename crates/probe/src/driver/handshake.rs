//! How connections begin and end in order: dialling, CONNECT, SUBSCRIBE, and DISCONNECT.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use mio::{Interest, Token};
use noctule_codec::{ConnAck, PacketType, SubAck};
use noctule_transport::Stream;

use super::{Driver, Guest, Happening};
use crate::Error;
use crate::client::{Client, Role, Stage};
use crate::frames::{self, Introduction};

impl Driver<'_> {
    /// Connects these many guests, several at a time, and waits until each is ready or has failed. Returns whether
    /// all are ready.
    pub(crate) fn open(
        &mut self,
        what: &str,
        count: u64,
        guest: impl Fn(u64) -> Guest,
    ) -> Result<bool, Error> {
        self.progress.begin(what, count);
        let (mut begun, mut ready, mut failed) = (0, 0, 0);
        let mut changed_at = self.now();
        while ready + failed < count {
            while begun < count && begun - ready - failed < HANDSHAKES_AT_ONCE {
                self.dial(self.clients.len(), guest(begun))?;
                begun += 1;
            }
            self.turn()?;
            for happening in std::mem::take(&mut self.happenings) {
                match happening {
                    Happening::Ready { .. } => ready += 1,
                    Happening::Failed => failed += 1,
                    Happening::Left { .. } => continue,
                }
                changed_at = self.now();
            }
            self.progress.set(ready);
            if self.now() > changed_at + HANDSHAKE_PATIENCE {
                self.give_up_handshakes();
            }
        }
        Ok(failed == 0)
    }

    /// Begins the connection of a guest in this place, which is a new one or one whose connection has ended.
    pub(crate) fn dial(&mut self, place: usize, guest: Guest) -> Result<(), Error> {
        let version = self.options.version;
        let mut client = Client::new(version, guest.role, self.now());
        if let Some(mut stream) = self.begin_connection()? {
            let interests = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(place), interests)?;
            let connect = frames::connect(&Introduction {
                version,
                client_id: &guest.client_id,
                is_durable: guest.is_durable,
                user_name: self.options.user_name.as_deref(),
                password: self.options.password.as_deref(),
            });
            client.greet(stream, guest.filters, connect);
            self.open_count += 1;
        }
        match self.clients.get_mut(place) {
            Some(ended) => *ended = client,
            None => self.clients.push(client),
        }
        Ok(())
    }

    /// Ends this connection in order; the broker is to close it.
    pub(crate) fn leave(&mut self, index: usize) {
        let since = self.now();
        let client = &mut self.clients[index];
        if client.is_ready() {
            client.stage = Stage::Leaving { since };
            client.connection.output.bytes.extend(frames::disconnect(self.options.version));
            self.leaving.push_back((index, since));
            self.mark_dirty(index);
        }
    }

    /// None if the broker takes no connection any more; that is for the report. What this machine lacks is an error.
    fn begin_connection(&mut self) -> Result<Option<Stream>, Error> {
        let source = self.next_source();
        let error = match Stream::dial(self.target, source) {
            Ok(mut stream) => {
                self.options.target.prepare(&mut stream, self.tls.as_ref())?;
                return Ok(Some(stream));
            }
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => {
                Err(Error::NoPort { address: source, source: error })
            }
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::TimedOut => {
                self.incidents.disconnect(format!("before CONNACK: {error}"));
                self.happenings.push(Happening::Failed);
                Ok(None)
            }
            _ => Err(Error::Machine(error)),
        }
    }

    fn next_source(&mut self) -> Option<IpAddr> {
        let sources = &self.options.sources;
        let source = *sources.get(self.dialled % sources.len().max(1))?;
        self.dialled += 1;
        Some(source)
    }

    pub(super) fn take_connack(&mut self, index: usize, connack: &ConnAck<'_>) {
        if connack.reason_code.is_error() {
            self.incidents.refuse(PacketType::ConnAck, connack.reason_code);
            return self.end(index);
        }
        self.clients[index].session_present = connack.session_present;
        let properties = &connack.properties;
        if let (Some(maximum), Role::Publisher(publisher)) =
            (properties.receive_maximum(), self.clients[index].role)
        {
            self.traffic.limit_in_flight(publisher, maximum);
            if maximum < self.options.window && self.options.rate.is_none() {
                let text = format!("the broker takes {maximum} messages in flight, fewer than the window");
                self.incidents.note(text);
            }
        }
        if let Some(seconds) = properties.server_keep_alive().filter(|&seconds| seconds > 0) {
            let text = format!("the broker asks for a packet every {seconds} s; the probe sends none");
            self.incidents.note(text);
        }
        self.subscribe_next(index);
    }

    pub(super) fn take_suback(&mut self, index: usize, suback: &SubAck<'_>) {
        let asked = self.options.subscription_qos();
        for &code in suback.reason_codes.iter() {
            if code.is_error() {
                self.incidents.refuse(PacketType::SubAck, code);
                if let Stage::Subscribing { is_refused, .. } = &mut self.clients[index].stage {
                    *is_refused = true;
                }
            } else if code.as_u8() < asked as u8 {
                let (granted, asked) = (code.as_u8(), asked as u8);
                self.incidents.note(format!("granted QoS {granted} where QoS {asked} was asked for"));
            }
        }
        self.subscribe_next(index);
    }

    /// Asks for the next filters, or ends the handshake when there are none.
    fn subscribe_next(&mut self, index: usize) {
        let at = self.now();
        let client = &mut self.clients[index];
        let is_refused = matches!(client.stage, Stage::Subscribing { is_refused: true, .. });
        if let Some((filters, packet_id)) = client.stage.next_filters() {
            let bytes =
                frames::subscribe(self.options.version, packet_id, &filters, self.options.subscription_qos());
            client.connection.output.bytes.extend(bytes);
            return;
        }
        let happening = if is_refused { Happening::Failed } else { Happening::Ready { client: index, at } };
        self.happenings.push(happening);
    }

    fn give_up_handshakes(&mut self) {
        for index in 0..self.clients.len() {
            if self.clients[index].is_in_handshake() {
                self.lose(index, format!("no answer within {} s", HANDSHAKE_PATIENCE.as_secs()));
            }
        }
    }

    /// Closes what the broker should have closed after DISCONNECT.
    pub(super) fn close_for_the_broker(&mut self, now: Duration) {
        while let Some((index, left_at)) = self.leaving.pop_front_if(|(_, at)| now > *at + LEAVE_PATIENCE) {
            // The place may have been taken again since.
            if matches!(self.clients[index].stage, Stage::Leaving { since } if since == left_at) {
                self.incidents.note("left a connection open after DISCONNECT".to_owned());
                self.closed(index);
            }
        }
    }
}

/// A broker should close a connection once it has read DISCONNECT; the probe waits for this long.
const LEAVE_PATIENCE: Duration = Duration::from_millis(200);

/// More would fill the queue of connections that brokers have not yet accepted, often 128 or less.
const HANDSHAKES_AT_ONCE: u64 = 64;
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
