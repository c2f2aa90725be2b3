//! `record`: writes what comes to a file, with the time at which it came.

use crate::ending::Ending;
use crate::interrupts::Interrupts;
use crate::listener::{self, Heard, Listener};
use crate::progress::{Progress, bytes, clock, counted};
use crate::recording::{Recorded, first_line};
use crate::settings::Settings;
use crate::subscribe::at;
use crate::world::World;
use noctule_client::machine::Delivery;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Runs the tool.
pub(crate) async fn run(settings: Settings, world: &mut World) -> Ending {
    match begin(settings, world).await {
        Ok(recorder) => recorder.run(world).await,
        Err(ending) => ending,
    }
}

/// Connects first, so that what cannot be recorded leaves no file.
async fn begin(settings: Settings, world: &mut World) -> Result<Recorder, Ending> {
    let interrupts = Interrupts::new()?;
    let listener = Listener::open(&settings, world).await?;
    let file = open(&settings, world)?;
    let progress = Progress::new(settings.quiet, world);
    Ok(Recorder {
        settings,
        listener,
        interrupts,
        file,
        progress,
        began: Instant::now(),
        messages: 0,
        bytes: 0,
    })
}

fn open(settings: &Settings, world: &World) -> Result<Box<dyn Write + Send>, Ending> {
    let path = settings.recording();
    if path == Path::new(STANDARD_STREAM) {
        return Ok(Box::new(world.stdout.clone()));
    }
    let mut options = OpenOptions::new();
    options.write(true).truncate(true).create(true).create_new(!settings.force);
    match options.open(path) {
        Ok(file) => Ok(Box::new(BufWriter::new(file))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Ending::failed(&format!(
            "{} is there already; name another file, or replace it with --force.",
            path.display()
        ))),
        Err(error) => Err(Ending::failed(&format!("{} cannot be written: {error}", path.display()))),
    }
}

struct Recorder {
    settings: Settings,
    listener: Listener,
    interrupts: Interrupts,
    file: Box<dyn Write + Send>,
    progress: Progress,
    began: Instant,
    messages: u64,
    bytes: u64,
}

impl Recorder {
    async fn run(mut self, world: &mut World) -> Ending {
        let began = (world.now)().timestamp().to_string();
        let first = first_line(&began, &self.settings.filters);
        if let Err(error) = self.write(&first) {
            return self.unwritable(&error);
        }
        let ending = self.record(world).await;
        self.progress.clear(world);
        if !self.settings.quiet {
            world.complain(&format!("recorded {}", self.so_far()));
        }
        self.listener.close().await;
        ending
    }

    async fn record(&mut self, world: &mut World) -> Ending {
        let deadline = self.settings.timeout.map(|timeout| Instant::now() + timeout);
        let mut ticks = interval(PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = at(deadline) => return Ending::done(),
                () = self.interrupts.next() => return Ending::done(),
                _ = ticks.tick(), if self.progress.is_shown() => {
                    self.progress.show(&format!("recording: {}", self.so_far()), world);
                }
                heard = self.listener.next() => match heard {
                    Heard::Message(message) => match self.take(&message) {
                        Ok(()) if self.is_complete() => return Ending::done(),
                        Ok(()) => {}
                        Err(error) => return self.unwritable(&error),
                    },
                    Heard::Subscribed { refused } => {
                        self.progress.clear(world);
                        listener::warn(&refused, &self.settings, world);
                    }
                    Heard::Lost => {
                        self.progress.clear(world);
                        listener::tell_lost(&self.settings, world);
                    }
                    Heard::Ended(ending) => return ending,
                },
            }
        }
    }

    fn take(&mut self, message: &Delivery) -> io::Result<()> {
        let recorded = Recorded::new(self.began.elapsed(), message);
        self.write(&recorded.line())?;
        self.listener.acknowledge(message.receipt);
        self.messages += 1;
        self.bytes += message.payload.len() as u64;
        Ok(())
    }

    /// A line is in the file as a whole before it is acknowledged or anything ends.
    fn write(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(line.as_bytes())?;
        self.file.flush()
    }

    fn is_complete(&self) -> bool {
        self.settings.count.is_some_and(|count| self.messages >= count.into())
    }

    fn so_far(&self) -> String {
        let time = clock(self.began.elapsed());
        format!("{}, {}, {time}", counted(self.messages, "message"), bytes(self.bytes))
    }

    fn unwritable(&self, error: &io::Error) -> Ending {
        Ending::unwritten(&self.settings.recording().display().to_string(), error)
    }
}

/// The name of a file that stands for standard input or output.
pub(crate) const STANDARD_STREAM: &str = "-";
/// How often the line on the terminal is written anew.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
