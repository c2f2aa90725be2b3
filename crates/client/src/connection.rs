//! One connection that does only what it is told: what a tool is made of.
//!
//! A [`Client`](crate::Client) looks after itself and keeps the wire out of sight. Here CONNECT says what its caller
//! wants it to say, every event of the machine is handed over, nothing is subscribed or repeated by itself, and a
//! connection that has ended stays ended until [`Connection::reopen`]. What the protocol obliges a client to do is
//! done: acknowledgements, pings, the server's limits.

use crate::clock::Clock;
use crate::driver::{self, Output, WRITE_BYTES, Way};
use crate::error::ConnectionError;
use crate::options::Options;
use bytes::{Buf as _, BytesMut};
use noctule_codec::{Decoder, Packet, Properties, ReasonCode, SubscribeFilters, UnsubscribeFilters};
use noctule_session::client::{
    Client as Machine, Event, Flush, Message, PublishError, Receipt, RequestError, Token,
};
use std::fmt;
use std::io;
use tokio::io::{ReadHalf, WriteHalf};

/// One connection to a server; made by [`Builder::open`](crate::Builder::open).
pub struct Connection {
    options: Options,
    clock: Clock,
    machine: Machine,
    way: Option<(ReadHalf<Way>, WriteHalf<Way>)>,
    input: BytesMut,
    output: Output,
    observer: Option<Observer>,
    error: Option<io::Error>,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    Sent,
    /// From the server.
    Received,
}

/// Is called with every packet.
type Show = dyn FnMut(Direction, &Packet<'_>) + Send;

/// Who is shown every packet, and what it takes to read them.
struct Observer {
    show: Box<Show>,
    sent: Decoder,
    received: Decoder,
}

impl Connection {
    pub(crate) async fn open(options: Options) -> Result<Self, ConnectionError> {
        let mut connection = Self {
            options,
            clock: Clock::start(),
            machine: Machine::new(),
            way: None,
            input: BytesMut::new(),
            output: Output::default(),
            observer: None,
            error: None,
        };
        connection.reopen().await?;
        Ok(connection)
    }

    /// Opens a way to the server again and begins with the same CONNECT. What is owed above QoS 0 is sent again.
    ///
    /// # Errors
    /// There is no way to the server; nothing has changed then.
    pub async fn reopen(&mut self) -> Result<(), ConnectionError> {
        let way = driver::open(&self.options, &self.options.address).await?;
        let connect = self.options.connect.clone();
        self.machine.connect(connect, self.clock.now()).map_err(ConnectionError::Options)?;
        self.way = Some(tokio::io::split(way));
        self.input.clear();
        self.output = Output::default();
        self.error = None;
        self.begin_observing();
        Ok(())
    }

    /// Shows every packet from now on to `show`, those sent when they are written.
    pub fn observe(&mut self, show: impl FnMut(Direction, &Packet<'_>) + Send + 'static) {
        let (sent, received) = self.decoders();
        self.observer = Some(Observer { show: Box::new(show), sent, received });
    }

    /// Waits for the next event; `None` once the connection has ended and everything about it has been told.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            // What one event has caused is on its way before the next is told.
            if self.output.is_written() && self.way.is_some() {
                self.fill().await;
            }
            if let Some(event) = self.machine.poll_event() {
                return Some(event);
            }
            // Behind its own DISCONNECT a client hears nothing any more.
            if self.way.is_none() || !self.receive() {
                self.carry().await?;
            }
        }
    }

    /// What the operating system said when the connection was lost.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// The client identifier: the one that CONNECT says, or the one the server has given.
    pub fn client_id(&self) -> &str {
        self.machine.client_id()
    }

    /// Publishes a message; its [`Event::Published`] says what became of it.
    ///
    /// # Errors
    /// The message cannot be sent to this server.
    pub fn publish(&mut self, message: &Message<'_>) -> Result<Token, PublishError> {
        self.machine.publish(message, self.clock.now())
    }

    /// Asks for subscriptions in one SUBSCRIBE; [`Event::Subscribed`] brings the answer.
    ///
    /// # Errors
    /// There is no connection, or a filter or property is not for this server.
    pub fn subscribe(
        &mut self,
        filters: SubscribeFilters<'_>,
        properties: Properties<'_>,
    ) -> Result<Token, RequestError> {
        self.machine.subscribe(filters, properties)
    }

    /// Asks to end subscriptions in one UNSUBSCRIBE; [`Event::Unsubscribed`] brings the answer.
    ///
    /// # Errors
    /// There is no connection, or a filter is not valid.
    pub fn unsubscribe(
        &mut self,
        filters: UnsubscribeFilters<'_>,
        properties: Properties<'_>,
    ) -> Result<Token, RequestError> {
        self.machine.unsubscribe(filters, properties)
    }

    /// Acknowledges a message that has a receipt.
    pub fn acknowledge(&mut self, receipt: Receipt) {
        self.machine.acknowledge(receipt, ReasonCode::Success);
    }

    /// How many messages above QoS 0 the server has not acknowledged.
    pub fn unsettled(&self) -> usize {
        self.machine.unsettled()
    }

    /// Says DISCONNECT behind everything that is queued. [`next`](Self::next) sends it and ends.
    ///
    /// # Errors
    /// There is no connection, or a property changes what cannot be changed.
    pub fn disconnect(
        &mut self,
        reason_code: ReasonCode,
        properties: Properties<'_>,
    ) -> Result<(), RequestError> {
        self.machine.disconnect(reason_code, properties)
    }

    /// Closes the way to the server at once, without a word: before the server has answered CONNECT there is none.
    pub fn close(&mut self) {
        self.lose(None);
    }

    /// Takes what the machine has to say, and closes the way behind its last words.
    async fn fill(&mut self) {
        self.output.clear();
        let flush = self.machine.flush(self.clock.now(), WRITE_BYTES, &mut self.output.bytes);
        if let Some(observer) = &mut self.observer {
            observer.show_all(Direction::Sent, &self.output.bytes);
        }
        if flush == Flush::Close
            && let Some((_, mut writer)) = self.way.take()
        {
            driver::finish(&mut writer, &self.output.bytes).await;
            self.output.clear();
        }
    }

    /// Carries some bytes one way or the other, or waits for the time to do something. `None` without a connection.
    async fn carry(&mut self) -> Option<()> {
        let (reader, writer) = self.way.as_mut()?;
        let timeout = self.machine.next_timeout().map(|at| self.clock.at(at));
        tokio::select! {
            sent = self.output.send(writer), if self.output.has_work() => {
                if let Err(error) = sent {
                    self.lose(Some(error));
                }
            }
            read = driver::read(reader, &mut self.input) => match read {
                Ok(0) => self.lose(None),
                Ok(_) => {}
                Err(error) => self.lose(Some(error)),
            },
            () = driver::at(timeout) => self.machine.handle_timeouts(self.clock.now()),
        }
        Some(())
    }

    /// Hands what has come to the machine; where there is an observer packet by packet, so that the next one is shown
    /// behind what this one has caused. Returns whether there was any.
    fn receive(&mut self) -> bool {
        let length = self.observer.as_ref().and_then(|observer| observer.first_received(&self.input));
        let consumed =
            self.machine.receive(&self.input[..length.unwrap_or(self.input.len())], self.clock.now());
        if let Some(observer) = &mut self.observer {
            observer.show_all(Direction::Received, &self.input[..consumed]);
        }
        self.input.advance(consumed);
        consumed > 0
    }

    fn lose(&mut self, error: Option<io::Error>) {
        self.way = None;
        self.error = error;
        self.machine.connection_lost();
    }

    fn begin_observing(&mut self) {
        let decoders = self.decoders();
        if let Some(observer) = &mut self.observer {
            (observer.sent, observer.received) = decoders;
        }
    }

    fn decoders(&self) -> (Decoder, Decoder) {
        (Decoder::server(u32::MAX), Decoder::client(self.options.connect.version, u32::MAX))
    }
}

impl Observer {
    /// How long the first packet of the server is, if it has come as a whole.
    fn first_received(&self, bytes: &[u8]) -> Option<usize> {
        self.received.packet_len(bytes).ok().flatten().filter(|length| *length <= bytes.len())
    }

    /// Bytes are whole packets here: the machine writes them whole, and uses them up whole.
    fn show_all(&mut self, direction: Direction, mut bytes: &[u8]) {
        let decoder = match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        };
        while let Ok(Some((packet, length))) = decoder.decode(bytes) {
            (self.show)(direction, &packet);
            bytes = &bytes[length..];
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("machine", &self.machine).finish_non_exhaustive()
    }
}
