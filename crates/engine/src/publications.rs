//! Publications that everybody is done with, kept for the next ones.
//!
//! In the steady state a message costs no allocation: its text and payload go where those of an earlier one
//! have been. What a shard takes and gives back is counted here and added to the broker's gauge once a turn.

use noctule_session::{MemoryGauge, Publication};
use std::sync::Arc;

/// The free publications of one shard.
#[derive(Debug, Default)]
pub(crate) struct Publications {
    free: Vec<Arc<Publication>>,
    /// Bytes by which the gauge is to be changed.
    uncounted: i64,
}

impl Publications {
    /// A publication, filled like this and counted as memory.
    pub(crate) fn make(
        &mut self,
        memory: &MemoryGauge,
        fill: impl FnOnce(&mut Publication),
    ) -> Arc<Publication> {
        let mut message = self.free.pop().unwrap_or_else(|| Arc::new(Publication::empty(memory)));
        let publication = Arc::get_mut(&mut message).expect("nobody refers to a free publication");
        fill(publication);
        self.uncounted += publication.recount();
        message
    }

    /// Takes a reference that its owner needs no more. The last one frees the publication.
    pub(crate) fn give_back(&mut self, mut message: Arc<Publication>) {
        // Looking is cheaper than trying. Two shards that look at once are wrong together, and one is not kept.
        if Arc::strong_count(&message) > 1 {
            return;
        }
        let Some(publication) = Arc::get_mut(&mut message) else { return };
        if self.free.len() < FREE_MAX && publication.room_bytes() <= ROOM_BYTES_MAX {
            self.uncounted += publication.clear();
            self.free.push(message);
        }
    }

    /// Bytes taken, and given back, that the gauge does not show yet.
    pub(crate) fn uncounted(&self) -> i64 {
        self.uncounted
    }

    /// Brings the gauge up to date.
    pub(crate) fn count(&mut self, memory: &MemoryGauge) {
        if self.uncounted != 0 {
            memory.add(std::mem::take(&mut self.uncounted));
        }
    }
}

/// Free publications that a shard keeps, each with at most so much room: 3 MiB in all.
const FREE_MAX: usize = 2048;
const ROOM_BYTES_MAX: usize = 1024;
