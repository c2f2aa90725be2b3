//! What a journal has been told and what it has promised, and whether what comes back keeps that.

use crate::support::{Frames, Journal};
use noctule_store::simulated::SimulatedDisk;
use noctule_store::{Options, Position, ReadError};

/// The model of a journal: a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Everything appended, with its position.
    pub(crate) appended: Frames,
    /// What the journal has said is durable.
    pub(crate) durable: u64,
    /// What the journal has been told that nobody needs any more.
    pub(crate) released: u64,
}

const FRAME_HEADER_BYTES: u64 = 24;

impl Ledger {
    /// Says what must come back from a crash: everything durable that is still needed, exactly; behind it
    /// nothing but what was appended next; before it nothing that leaves a gap.
    pub(crate) fn check(&self, found: &Frames, context: &str) {
        let first = found.first().map_or(u64::MAX, |(position, _)| *position);
        let skipped = self.appended.iter().take_while(|(position, _)| *position < first).count();
        let expected = &self.appended[skipped..];
        assert!(expected.len() >= found.len(), "{context}: more came back than was appended");
        assert_eq!(found[..], expected[..found.len()], "{context}: something else came back");
        for (position, body) in &self.appended[..skipped] {
            let is_needed = *position >= self.released && behind(*position, body) <= self.durable;
            assert!(!is_needed, "{context}: the frame at {position} is lost");
        }
        let end = found.last().map_or(0, |(position, body)| behind(*position, body));
        let missing = expected.get(found.len());
        assert!(
            missing.is_none_or(|(position, body)| behind(*position, body) > self.durable),
            "{context}: durable was {}, what came back ends at {end}",
            self.durable
        );
    }

    /// Goes on with what came back.
    pub(crate) fn restart(&mut self, journal: &Journal) {
        self.appended.clone_from(&journal.frames);
        self.durable = journal.opened.appender.durable().get();
    }

    pub(crate) fn append(&mut self, journal: &Journal, body: &[u8]) {
        let position = journal.append(body);
        self.appended.push((position.get(), body.to_vec()));
    }

    pub(crate) fn commit(&mut self, journal: &mut Journal, sync: bool) -> bool {
        let committed = journal.committer().commit(sync);
        let durable = journal.opened.appender.durable().get();
        assert!(durable >= self.durable, "durable never goes back");
        self.durable = durable;
        if let Ok(committed) = &committed {
            assert_eq!(committed.written, journal.opened.appender.end());
            assert!(!sync || committed.durable == committed.written);
        }
        committed.is_ok()
    }

    /// Frees what lies before the frame of this index.
    pub(crate) fn release(&mut self, journal: &mut Journal, index: usize) {
        let Some((position, _)) = self.appended.get(index) else { return };
        self.released = self.released.max(*position);
        journal.committer().release(Position::new(self.released)).ok();
    }

    /// Reads back whatever is durable and still there, as far as the disk gives it.
    pub(crate) fn read_back(&self, journal: &mut Journal, context: &str) {
        let oldest = journal.committer().segments().first().map_or(0, |oldest| oldest.start.get());
        for (position, body) in &self.appended {
            if *position >= oldest && behind(*position, body) <= self.durable {
                let mut found = Vec::new();
                match journal.opened.reader.read(Position::new(*position), &mut found) {
                    Ok(()) => assert_eq!(&found, body, "{context}: {position}"),
                    Err(ReadError::Io { .. }) => {}
                    Err(error) => panic!("{context}: {position}: {error}"),
                }
            }
        }
        assert!(oldest <= self.released.max(1), "{context}: freed too much");
    }

    /// Opens the journal, checks what came back and goes on with it.
    pub(crate) fn reopen(&mut self, disk: &SimulatedDisk, options: Options, context: &str) -> Journal {
        let journal = match Journal::try_open(disk, options, false) {
            Ok(journal) => journal,
            Err(error) => panic!("{context}: {error}"),
        };
        self.check(&journal.frames, context);
        self.restart(&journal);
        journal
    }
}

fn behind(position: u64, body: &[u8]) -> u64 {
    position + FRAME_HEADER_BYTES + body.len() as u64
}
