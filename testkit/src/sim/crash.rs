//! The end of a simulated broker, and its return with what its journal remembers.

use super::journal::{Crash, Journal};
use super::{Durability, Locks, Node, Parcel, Sim, Step, check_remembered};
use noctule_broker::archive::{Archive, NotYet, Spans};
use noctule_engine::{
    Content, Directory, Effects, JournalState, Record, Remembered, Replay, Restorer, Shard, ShardConfig,
    ShardId, Start, Turn,
};
use noctule_session::{Instant, MessageNumber, Missing, Owed, Position, Publication};
use noctule_store::simulated::SimulatedDisk;
use noctule_store::{OpenError, Opened, Report};
use std::collections::VecDeque;
use std::sync::Arc;

impl Sim {
    /// The broker ends, with all its connections and everything it had in memory.
    pub fn crash(&mut self, crash: Crash) {
        if crash == Crash::Stop {
            self.stop();
        }
        let seed = self.random.draw();
        if !self.is_down() {
            self.ended_at = self.now;
        }
        self.end_life();
        self.disk = match crash {
            Crash::PowerCut => self.disk.power_cut(seed),
            Crash::Kill | Crash::Stop => self.disk.kill(),
        };
        self.power_until = u64::MAX;
    }

    /// The broker starts with what its journal remembers.
    ///
    /// # Errors
    /// The journal cannot be read, or the power went meanwhile; then the broker is down.
    pub fn restart(&mut self) -> Result<Report, OpenError> {
        self.begin_life();
        if self.options.durability == Durability::Memory {
            return Ok(Report::default());
        }
        let (remembered, opened) =
            read(self.disk.clone(), self.options.journal).inspect_err(|_| self.end_life())?;
        let report = opened.report.clone();
        let archive = Archive::new(opened.reader.clone());
        let spans = Spans::new(remembered.spans.iter().copied());
        self.journal = Some(Journal::new(opened, spans, &self.options));
        let (directory, shards) = (Arc::clone(&self.directory), self.options.shards);
        let behind = std::mem::take(&mut self.clock_behind_millis);
        let time_of_day = Instant::from_millis(self.now.as_millis().saturating_sub(behind));
        let start = Start::new(remembered.latest, self.ended_at, time_of_day);
        self.now = start.now;
        remembered.restore(&directory, shards, start.lost_at, &mut Machine { sim: self, archive });
        Ok(report)
    }

    /// Somebody sets the clock back while the broker is down. From its next start on everything in the simulation
    /// goes by that clock, as far as the broker believes it.
    pub fn set_clock_back(&mut self, millis: u64) {
        assert!(self.is_down(), "a broker that runs does not look at the time of day");
        self.clock_behind_millis = millis;
    }

    /// The broker ends and is back at once.
    #[track_caller]
    pub fn crash_and_restart(&mut self, crash: Crash) {
        self.crash(crash);
        self.restart().expect("the journal can be read");
        self.run();
    }

    /// What is promised of publications on this topic.
    pub fn durability_of(&self, topic: &str) -> Durability {
        self.options.limits.durability_of(topic)
    }

    /// Whether the broker is not running.
    pub fn is_down(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The disk of the journal.
    pub fn disk(&self) -> &SimulatedDisk {
        &self.disk
    }

    /// The power goes with the call of the disk that comes so many calls after the next.
    pub fn cut_power_after(&mut self, calls: u64) {
        self.power_until = self.disk.calls() + 1 + calls;
        self.disk.cut_power_at(self.power_until);
    }

    /// Whether there is no power any more. Nothing happens before [`crash`](Self::crash) says so to everybody.
    pub fn is_power_off(&self) -> bool {
        self.disk.calls() >= self.power_until
    }

    /// Segments of the journal that were freed since the broker started.
    pub fn segments_freed(&self) -> usize {
        self.journal.as_ref().map_or(0, |journal| journal.freed)
    }

    /// Has the journal do nothing from now on, or go on: what waits for the disk waits that long.
    pub fn hold_journal(&mut self, is_held: bool) {
        self.is_journal_held = is_held;
        self.run();
    }

    /// Whether the journal takes records.
    pub fn journal_state(&self) -> JournalState {
        self.directory.journal.state()
    }

    /// Whether everything that was recorded is on the disk.
    pub fn is_journal_at_rest(&self) -> bool {
        self.journal.as_ref().is_none_or(Journal::is_at_rest)
    }

    /// The same since there is this simulation.
    pub fn segments_freed_in_all(&self) -> usize {
        self.segments_freed_before + self.segments_freed()
    }

    /// Says what a crash would change now, while everything is at rest: nothing.
    pub fn check_journal(&self) -> Result<(), String> {
        let (remembered, opened) =
            read(self.disk.copy(), self.options.journal).map_err(|cause| cause.to_string())?;
        let mut archive = Archive::new(opened.reader);
        self.check_retained_messages(&remembered)?;
        let is_recorded = |owed: &Owed| match owed.message() {
            Some(message) => self.is_recorded(message),
            None => owed.position().is_somewhere(),
        };
        check_remembered(remembered, self.sessions(), is_recorded, |number, position| {
            let found = archive.load(Missing { number, position }, &self.directory.memory);
            matches!(found, Ok(Content::Found(_)))
        })
    }

    /// What the journal has, a line for each record, for a person.
    pub fn describe_journal(&self) -> String {
        let mut lines = String::new();
        let mut on_frame = |position: noctule_store::Position, body: &[u8]| {
            let mut rest = body;
            while let Ok((record, behind)) = Record::decode(rest) {
                lines.push_str(&format!("{position}: {record:?}\n"));
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            Ok(())
        };
        // What cannot be read is told by who tries to start with it.
        let _ =
            noctule_store::open(self.disk.copy(), self.options.journal, true, &mut on_frame, &mut |_, _| {});
        lines
    }

    fn check_retained_messages(&self, remembered: &Remembered) -> Result<(), String> {
        for message in &remembered.retained {
            let topic = message.topic.as_str();
            let kept = self.directory.retained.read(|tree| tree.get(topic).map(|kept| kept.number));
            if kept != Some(message.number) && !message.is_expired(self.now) {
                return Err(format!("{topic:?} has {kept:?}, but {:?} after a restart", message.number));
            }
        }
        let count = remembered.retained.iter().filter(|message| !message.is_expired(self.now)).count() as u64;
        let expected = self.directory.retained.read(|tree| {
            let of_clients = tree.iter().filter(|(_, message)| !message.is_of_broker());
            of_clients.filter(|(_, message)| self.is_recorded(message)).count() as u64
        });
        match count < expected {
            true => Err(format!("{expected} retained messages, but {count} after a restart")),
            false => Ok(()),
        }
    }

    /// Whether anything is promised of a message over a restart.
    fn is_recorded(&self, message: &Publication) -> bool {
        self.options.limits.durability_of(&message.topic) > Durability::Memory
    }

    /// Stops in order: nobody is read any more, promises are kept, everybody is told.
    fn stop(&mut self) {
        self.is_stopping = true;
        let waits = |node: &Node| {
            [Durability::Os, Durability::Disk].map(|level| node.shard.waits_for(level).is_some())
        };
        while self.nodes.iter().any(|node| waits(node) != [false, false]) && self.step() {}
        for shard in 0..self.nodes.len() {
            self.turn(shard, |shard, turn| shard.shut_down(true, turn));
        }
        // Who has told everybody ends; the mail that is still on its way is nobody's any more.
        while self.step_of(|step| matches!(step, Step::EndTurn(_) | Step::Flush(_))) {}
        if let Some(journal) = self.journal.take() {
            // A disk that fails loses nothing that was promised.
            let _ = journal.close();
        }
    }

    fn end_life(&mut self) {
        self.nodes.clear();
        self.segments_freed_before += self.segments_freed();
        self.journal = None;
        self.directory = Arc::new(Directory::new::<Locks>(self.options.shards));
        (self.is_stopping, self.is_journal_held) = (false, false);
        self.wires.iter_mut().for_each(super::Wire::close);
    }

    fn begin_life(&mut self) {
        self.lives += 1;
        let limits = Arc::new(self.options.limits.clone());
        let seed = self.options.seed ^ (self.lives - 1) << 32;
        let node = |id| Node {
            shard: Shard::new(
                ShardConfig { id: ShardId(id), shards: self.options.shards, seed },
                Arc::clone(&limits),
                Arc::clone(&self.options.authority),
            )
            .with_part_bytes(self.options.part_bytes),
            mailbox: VecDeque::<Parcel>::new(),
            heard: (Position::NOWHERE, Position::NOWHERE),
            fx: Effects::default(),
        };
        self.nodes = (0..self.options.shards).map(node).collect();
    }
}

/// Reads a journal, or begins one.
fn read(
    disk: SimulatedDisk,
    options: noctule_store::Options,
) -> Result<(Remembered, Opened<SimulatedDisk>), OpenError> {
    let mut replay = Replay::default();
    let mut on_frame = |position: noctule_store::Position, body: &[u8]| {
        replay.apply_frame(Position(position.get()), body).map_err(|cause| cause.to_string())
    };
    let opened = noctule_store::open(disk, options, false, &mut on_frame, &mut |_, _| {})?;
    Ok((replay.finish(), opened))
}

/// The simulation while it is given back what the journal remembers.
struct Machine<'a> {
    sim: &'a mut Sim,
    archive: Archive<SimulatedDisk>,
}

impl Restorer for Machine<'_> {
    fn turn(&mut self, shard: ShardId, work: impl FnOnce(&mut Shard, &mut Turn<'_>)) {
        let shard = usize::from(shard.0);
        self.sim.turn(shard, work);
        self.sim.end_turn(shard);
    }

    fn read(&mut self, number: MessageNumber, position: Position) -> Option<Arc<Publication>> {
        match self.archive.load(Missing { number, position }, &self.sim.directory.memory) {
            Ok(Content::Found(message)) => Some(message),
            Ok(Content::Lost(_)) | Err(NotYet::NotWritten) => None,
            Err(NotYet::Unreadable(cause)) => {
                assert!(self.sim.is_power_off(), "a broker does not start with a disk that fails: {cause}");
                None
            }
        }
    }
}
