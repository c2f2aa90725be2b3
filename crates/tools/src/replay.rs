//! `replay`: publishes what `record` has written, at the pace at which it came or another one.

use crate::connect::{connect, turned_away};
use crate::ending::Ending;
use crate::interrupts::Interrupts;
use crate::listener::LOST;
use crate::preview;
use crate::progress::{Progress, clock, counted};
use crate::publish::{LINES_AHEAD, OPEN_MAX, read_lines, reopen};
use crate::record::{PROGRESS_INTERVAL, STANDARD_STREAM};
use crate::recording::{Recorded, parse_line};
use crate::settings::{Settings, Speed};
use crate::subscribe::at;
use crate::world::World;
use noctule_client::Connection;
use noctule_client::machine::{DisconnectCause, Event, Message, NotSent, PublishOutcome, Token};
use noctule_codec::{PacketType, Properties, PropertyPlace, ProtocolVersion, ReasonCode};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Runs the tool.
pub(crate) async fn run(settings: Settings, world: &mut World) -> Ending {
    match begin(settings, world).await {
        Ok(replay) => replay.run(world).await,
        Err(ending) => ending,
    }
}

async fn begin(settings: Settings, world: &mut World) -> Result<Replay, Ending> {
    let interrupts = Interrupts::new()?;
    let lines = lines(&settings, world)?;
    let connection = connect(&settings, world).await?;
    let progress = Progress::new(settings.quiet, world);
    Ok(Replay {
        pace: Pace::new(settings.speed),
        settings,
        connection,
        interrupts,
        progress,
        lines,
        lines_read: 0,
        next: None,
        is_connected: false,
        is_at_end: false,
        open: HashMap::new(),
        published: 0,
        unaccepted: 0,
        reached: Duration::ZERO,
        ending: None,
    })
}

/// A thread reads the file ahead of what is published.
fn lines(settings: &Settings, world: &mut World) -> Result<mpsc::Receiver<io::Result<Vec<u8>>>, Ending> {
    let path = settings.recording();
    let reader: Box<dyn BufRead + Send> = if path == Path::new(STANDARD_STREAM) {
        std::mem::replace(&mut world.stdin, Box::new(std::io::empty()))
    } else {
        let file = File::open(path).map_err(|error| unreadable(settings, &error))?;
        Box::new(BufReader::new(file))
    };
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || read_lines(reader, &sender));
    Ok(receiver)
}

fn unreadable(settings: &Settings, error: &io::Error) -> Ending {
    Ending::failed(&format!("{} cannot be read: {error}", settings.recording().display()))
}

/// When a message is due. Times of the recording count from its first message.
#[derive(Debug)]
struct Pace {
    speed: Speed,
    first: Option<(Duration, Instant)>,
}

impl Pace {
    fn new(speed: Speed) -> Self {
        Self { speed, first: None }
    }

    /// When a message of this time is to be published; the first one sets the beginning.
    fn due(&mut self, recorded: Duration, now: Instant) -> Instant {
        let (first, began) = *self.first.get_or_insert((recorded, now));
        let since = recorded.saturating_sub(first);
        match self.speed {
            Speed::Unbounded => now,
            Speed::Factor(factor) => {
                let since =
                    Duration::try_from_secs_f64(since.as_secs_f64() / factor).unwrap_or(Duration::MAX);
                // What no clock reaches is as far away as can be said.
                began.checked_add(since).unwrap_or_else(|| began + FAR)
            }
        }
    }
}

struct Replay {
    settings: Settings,
    connection: Connection,
    interrupts: Interrupts,
    progress: Progress,
    pace: Pace,
    lines: mpsc::Receiver<io::Result<Vec<u8>>>,
    lines_read: u64,
    /// The message that is published next, its line and when.
    next: Option<(Recorded, u64, Instant)>,
    is_connected: bool,
    is_at_end: bool,
    /// What has been published and is not settled, with its line.
    open: HashMap<Token, u64>,
    published: u64,
    unaccepted: u64,
    /// The time in the recording that has been reached.
    reached: Duration,
    ending: Option<Ending>,
}

impl Replay {
    async fn run(mut self, world: &mut World) -> Ending {
        let mut ticks = interval(PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let may_publish =
                self.is_connected && self.ending.is_none() && self.open.len() < OPEN_MAX as usize;
            let due = self.next.as_ref().filter(|_| may_publish).map(|(_, _, due)| *due);
            let wants_line = may_publish && self.next.is_none() && !self.is_at_end;
            tokio::select! {
                biased;
                event = self.connection.next() => match event {
                    Some(event) => self.handle(event, world),
                    None => match self.come_back(world).await {
                        Some(ending) => return self.finish(ending, world),
                        None => continue,
                    },
                },
                () = self.interrupts.next() => match self.is_connected {
                    true => self.end(Ending::done()),
                    false => return self.finish(Ending::done(), world),
                },
                _ = ticks.tick(), if self.progress.is_shown() => {
                    self.progress.show(&format!("replaying: {}", self.so_far()), world);
                }
                line = self.lines.recv(), if wants_line => self.read(line, world),
                () = at(due), if due.is_some() => self.publish(),
            }
        }
    }

    /// Connects again, unless it is over.
    async fn come_back(&mut self, world: &mut World) -> Option<Ending> {
        if let Some(ending) = self.ending.take() {
            return Some(ending);
        }
        self.tell(LOST, world);
        tokio::select! {
            () = reopen(&mut self.connection) => None,
            () = self.interrupts.next() => Some(Ending::done()),
        }
    }

    fn handle(&mut self, event: Event, world: &mut World) {
        if let Some(ending) = turned_away(&event, &self.settings, &mut self.connection) {
            self.ending = Some(ending);
            return;
        }
        match event {
            Event::Connected { .. } => self.is_connected = true,
            Event::Published { token, outcome, properties, .. } => {
                self.settled(token, outcome, &properties, world);
            }
            Event::Disconnected { cause } => self.disconnected(&cause),
            _ => {}
        }
    }

    fn disconnected(&mut self, cause: &DisconnectCause) {
        self.is_connected = false;
        if Ending::is_for_good(cause) {
            self.ending.get_or_insert(Ending::disconnected(cause));
        }
    }

    /// The next line of the file, or its end.
    fn read(&mut self, line: Option<io::Result<Vec<u8>>>, world: &mut World) {
        let line = match line {
            Some(Ok(line)) => line,
            Some(Err(error)) => return self.end(unreadable(&self.settings, &error)),
            None => {
                self.is_at_end = true;
                return self.end_when_done();
            }
        };
        self.lines_read += 1;
        match parse_line(&line) {
            Ok(None) => {}
            Ok(Some(message)) => {
                let due = self.pace.due(message.at, Instant::now());
                self.next = Some((message, self.lines_read, due));
            }
            Err(error) => {
                self.progress.clear(world);
                self.end(Ending::failed(&format!("{}: {error}.", self.place(self.lines_read))));
            }
        }
    }

    fn publish(&mut self) {
        let Some((recorded, line, _)) = self.next.take() else { return };
        self.reached = recorded.at;
        let has_properties = self.settings.version == ProtocolVersion::V5;
        let topic = self.settings.remap.apply(recorded.topic);
        let message = Message {
            topic: &topic,
            payload: &recorded.payload,
            qos: recorded.qos,
            retain: recorded.retain,
            properties: if has_properties { recorded.properties } else { Properties::EMPTY },
        };
        match self.connection.publish(&message) {
            Ok(token) => {
                self.open.insert(token, line);
                self.published += 1;
            }
            Err(error) => self.end(Ending::unpublishable(error).and(&format!("It is {}.", self.place(line)))),
        }
    }

    fn settled(
        &mut self,
        token: Token,
        outcome: PublishOutcome,
        properties: &Properties<'_>,
        world: &mut World,
    ) {
        let line = self.open.remove(&token);
        let why = match outcome {
            PublishOutcome::Sent | PublishOutcome::Acknowledged(_) => None,
            PublishOutcome::Refused(reason_code) => Some(reason_code.name()),
            PublishOutcome::NotSent(why) => Some(not_sent(why)),
        };
        if let (Some(why), Some(line)) = (why, line) {
            self.unaccepted += 1;
            let more =
                properties.reason_string().map_or(String::new(), |more| format!(": {}", preview::line(more)));
            self.tell(&format!("Warning: {} was not accepted: {why}{more}", self.place(line)), world);
        }
        self.end_when_done();
    }

    fn end_when_done(&mut self) {
        if self.is_at_end && self.next.is_none() && self.open.is_empty() {
            self.end(Ending::done());
        }
    }

    /// Nothing more is published.
    fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
        let properties = self.settings.properties.checked(PropertyPlace::Packet(PacketType::Disconnect));
        // Without a connection there is nothing to end.
        let _ = self.connection.disconnect(ReasonCode::NORMAL_DISCONNECTION, properties);
    }

    fn finish(&self, ending: Ending, world: &mut World) -> Ending {
        self.progress.clear(world);
        self.tell(&format!("replayed {}", self.so_far()), world);
        match self.unaccepted {
            0 => ending,
            _ if ending != Ending::done() => ending,
            count => Ending::failed(&format!("{} not accepted.", counted(count, "message"))),
        }
    }

    fn so_far(&self) -> String {
        format!("{}, up to {} of the recording", counted(self.published, "message"), clock(self.reached))
    }

    fn place(&self, line: u64) -> String {
        format!("line {line} of {}", self.settings.recording().display())
    }

    fn tell(&self, line: &str, world: &mut World) {
        self.progress.clear(world);
        if !self.settings.quiet {
            world.complain(line);
        }
    }
}

fn not_sent(why: NotSent) -> &'static str {
    match why {
        NotSent::Expired => "it expired while it waited",
        NotSent::PacketTooLarge => "it is larger than the broker takes",
        NotSent::QoSNotSupported => "the broker does not support its QoS",
        NotSent::RetainNotSupported => "the broker keeps no retained messages",
        NotSent::OutputFull => "too much waited to be sent",
        NotSent::ConnectionEnded => "the connection ended first",
    }
}

/// A time that does not come.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_the_first_message_and_are_divided_by_the_factor() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        for (speed, gap) in [(1.0, 3000), (2.0, 1500), (0.5, 6000), (1e-300, FAR.as_millis() as u64)] {
            let mut pace = Pace::new(Speed::Factor(speed));
            assert_eq!(pace.due(ms(60_000), start), start);
            assert_eq!(pace.due(ms(63_000), start + ms(1)), start + ms(gap), "{speed}");
            assert_eq!(
                pace.due(ms(59_000), start + ms(1)),
                start,
                "a line that was moved is late, not early"
            );
        }
        let mut pace = Pace::new(Speed::Unbounded);
        assert_eq!(pace.due(ms(0), start), start);
        assert_eq!(pace.due(ms(9_000), start + ms(5)), start + ms(5));
    }
}
