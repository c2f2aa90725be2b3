//! `pub`: publishes one message, a message several times, or each line of standard input.

use crate::connect::{connect, turned_away};
use crate::ending::Ending;
use crate::preview::line;
use crate::settings::{Payload, Settings};
use crate::world::World;
use noctule_client::Connection;
use noctule_client::machine::{DisconnectCause, Event, Message, PublishOutcome};
use noctule_codec::{PacketType, Properties, PropertyPlace, ReasonCode};
use std::io::{self, BufRead};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// Runs the tool.
pub(crate) async fn run(mut settings: Settings, world: &mut World) -> Ending {
    let source = match source(&mut settings, world) {
        Ok(source) => source,
        Err(ending) => return ending,
    };
    let connection = match connect(&settings, world).await {
        Ok(connection) => connection,
        Err(ending) => return ending,
    };
    Publishing::new(settings, source, connection).run(world).await
}

/// Where messages come from.
enum Source {
    /// There is one, to be published so often.
    Message(Vec<u8>),
    /// Each line is one. They are read by a thread of their own, which waits when this tool is behind.
    Lines(mpsc::Receiver<io::Result<Vec<u8>>>),
}

/// What has been published, and what is still to come.
struct Publishing {
    settings: Settings,
    source: Source,
    connection: Connection,
    properties: Properties<'static>,
    is_connected: bool,
    /// Publications that have been made, and of those the ones that are not settled.
    made: u32,
    open: u32,
    /// When the next repetition is due.
    repeat_at: Option<Instant>,
    /// There are no more lines.
    is_at_end: bool,
    ending: Option<Ending>,
}

/// What a publication carries, but for lines: the text, the file, or all of standard input.
pub(crate) fn payload(settings: &mut Settings, world: &mut World) -> Result<Vec<u8>, Ending> {
    match std::mem::take(&mut settings.payload) {
        Payload::Bytes(bytes) => Ok(bytes),
        Payload::File(path) => read_file(&path),
        Payload::Stdin => read_all(&mut world.stdin),
        Payload::Unsaid | Payload::Lines => Ok(Vec::new()),
    }
}

fn source(settings: &mut Settings, world: &mut World) -> Result<Source, Ending> {
    if settings.payload != Payload::Lines {
        return payload(settings, world).map(Source::Message);
    }
    let stdin = std::mem::replace(&mut world.stdin, Box::new(std::io::empty()));
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || read_lines(stdin, &sender));
    Ok(Source::Lines(receiver))
}

fn read_file(path: &Path) -> Result<Vec<u8>, Ending> {
    let name = path.display();
    std::fs::read(path).map_err(|error| {
        Ending::failed(&format!("Unable to open file \"{name}\"."))
            .and(&format!("Error loading input file \"{name}\"."))
            .because(&error)
    })
}

fn read_all(stdin: &mut impl BufRead) -> Result<Vec<u8>, Ending> {
    let mut bytes = Vec::new();
    match stdin.read_to_end(&mut bytes) {
        Ok(0) => Err(Ending::failed("Zero length input.").and("Error loading input from stdin.")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(unreadable(&error)),
    }
}

fn unreadable(error: &io::Error) -> Ending {
    Ending::failed(&error.to_string()).and("Error loading input from stdin.")
}

/// Passes lines on until there are no more, they cannot be read or nobody wants them.
pub(crate) fn read_lines(stdin: impl BufRead, sender: &mpsc::Sender<io::Result<Vec<u8>>>) {
    for line in stdin.split(b'\n') {
        let is_last = line.is_err();
        if sender.blocking_send(line).is_err() || is_last {
            return;
        }
    }
}

impl Publishing {
    fn new(settings: Settings, source: Source, connection: Connection) -> Self {
        let properties = settings.properties.checked(PropertyPlace::Packet(PacketType::Publish));
        Self {
            settings,
            source,
            connection,
            properties,
            is_connected: false,
            made: 0,
            open: 0,
            repeat_at: None,
            is_at_end: false,
            ending: None,
        }
    }

    async fn run(mut self, world: &mut World) -> Ending {
        loop {
            let wants_line = self.is_connected && !self.is_at_end && self.open < OPEN_MAX;
            let next_line = async {
                match &mut self.source {
                    Source::Lines(lines) if wants_line => lines.recv().await,
                    _ => std::future::pending().await,
                }
            };
            let repeat_at = self.repeat_at;
            let repetition = async {
                match repeat_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = self.connection.next() => match event {
                    Some(event) => self.handle(event, world).await,
                    None => return self.ending.unwrap_or_else(Ending::lost),
                },
                line = next_line => match line {
                    Some(Ok(line)) => self.publish(&line),
                    Some(Err(error)) => {
                        self.ending.get_or_insert(unreadable(&error));
                        self.end_lines();
                    }
                    None => self.end_lines(),
                },
                () = repetition => self.repeat(),
            }
        }
    }

    async fn handle(&mut self, event: Event, world: &mut World) {
        if let Some(ending) = turned_away(&event, &self.settings, &mut self.connection) {
            self.ending = Some(ending);
            return;
        }
        match event {
            Event::Connected { .. } => {
                self.is_connected = true;
                if self.made == 0 {
                    self.repeat();
                }
            }
            Event::Published { outcome, properties, .. } => self.settled(outcome, &properties, world),
            Event::Disconnected { cause } => self.disconnected(&cause).await,
            _ => {}
        }
    }

    /// Publishes the one message, where there is one.
    fn repeat(&mut self) {
        self.repeat_at = None;
        if let Source::Message(payload) = &self.source {
            let payload = payload.clone();
            self.publish(&payload);
        }
    }

    fn publish(&mut self, payload: &[u8]) {
        let message = Message {
            topic: self.settings.topic.as_deref().unwrap_or_default(),
            payload,
            qos: self.settings.qos,
            retain: self.settings.retain,
            properties: self.properties.borrow(),
        };
        match self.connection.publish(&message) {
            Ok(_) => (self.made, self.open) = (self.made + 1, self.open + 1),
            Err(error) => {
                self.ending.get_or_insert(Ending::unpublishable(error));
                self.disconnect();
            }
        }
    }

    /// A publication is over; the next one or the end follows.
    fn settled(&mut self, outcome: PublishOutcome, properties: &Properties<'_>, world: &mut World) {
        self.open = self.open.saturating_sub(1);
        if let PublishOutcome::Refused(reason_code) = outcome
            && !self.settings.quiet
        {
            world.complain(&format!(
                "Warning: Publish {} failed: {}.",
                self.made - self.open,
                reason_code.name()
            ));
            properties.reason_string().into_iter().for_each(|why| world.complain(&line(why)));
        }
        match &self.source {
            Source::Lines(_) => self.disconnect_when_done(),
            Source::Message(_) if self.made < self.settings.repeat => {
                self.repeat_at = Some(Instant::now() + self.settings.repeat_delay);
            }
            Source::Message(_) => self.disconnect(),
        }
    }

    fn end_lines(&mut self) {
        self.is_at_end = true;
        self.disconnect_when_done();
    }

    fn disconnect_when_done(&mut self) {
        if self.is_at_end && self.open == 0 {
            self.disconnect();
        }
    }

    fn disconnect(&mut self) {
        let properties = self.settings.properties.checked(PropertyPlace::Packet(PacketType::Disconnect));
        // Without a connection there is nothing to end.
        let _ = self.connection.disconnect(ReasonCode::NORMAL_DISCONNECTION, properties);
    }

    /// Lines go on over a new connection; a single message does not outlive its own.
    async fn disconnected(&mut self, cause: &DisconnectCause) {
        self.is_connected = false;
        if *cause == DisconnectCause::Requested || self.ending.is_some() {
            self.ending.get_or_insert(Ending::done());
            return;
        }
        match self.source {
            Source::Lines(_) if !Ending::is_for_good(cause) => reopen(&mut self.connection).await,
            _ => self.ending = Some(Ending::disconnected(cause)),
        }
    }
}

/// Tries again until there is a connection.
pub(crate) async fn reopen(connection: &mut Connection) {
    loop {
        sleep(RECONNECT_DELAY).await;
        if connection.reopen().await.is_ok() {
            return;
        }
    }
}

/// Lines that are read before they can be published.
pub(crate) const LINES_AHEAD: usize = 100;
/// Publications that may be under way before the next line is taken.
pub(crate) const OPEN_MAX: u32 = 1000;
/// How long to wait before connecting again, as mosquitto's tools do.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
