//! Searches for routes that take longer than a turn.
//!
//! A filter index can be made so that one publication visits thousands of its nodes. Such a search is done in
//! slices, a few in each turn. Meanwhile its publisher is not read, so that everything it causes comes behind;
//! nobody else waits.
//!
//! What a search finds may be older than what others see by then. Nobody is told before its end that a change
//! is in force which it may have missed: [grace](crate::Shard::end_turn) waits for the searches that were
//! under way.

use crate::mail::{Mail, ShardId, Violation};
use crate::routes::{Asked, Search};
use crate::shard::{Shard, Turn};
use noctule_codec::PacketId;
use noctule_session::Publication;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A publication whose route is searched for.
#[derive(Debug)]
pub(crate) struct Searching {
    message: Arc<Publication>,
    packet_id: Option<PacketId>,
    search: Search,
    number: u64,
    /// The season in which it was accepted.
    season: u32,
}

/// The searches that are under way, and who waits for them.
#[derive(Debug, Default)]
pub(crate) struct Searches {
    /// Their numbers.
    under_way: BTreeSet<u64>,
    next: u64,
    /// Shards to be answered when the searches before this number have ended.
    waiting: Vec<(u64, ShardId, u64)>,
}

impl Shard {
    /// Searches for the route of an accepted publication, and publishes on it now or in a later turn.
    pub(crate) fn search_route(
        &mut self,
        slot: usize,
        message: Arc<Publication>,
        packet_id: Option<PacketId>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let search = self.routes.search(turn.directory, &message.topic);
        let number = self.searches.begin();
        self.sessions[slot].searching =
            Some(Box::new(Searching { message, packet_id, search, number, season: self.season }));
        self.go_on_searching(slot, turn).map(|_| ())
    }

    /// Goes on with the search of a session's publication, if there is one; says whether none is left.
    pub(crate) fn go_on_searching(&mut self, slot: usize, turn: &mut Turn<'_>) -> Result<bool, Violation> {
        let Some(mut searching) = self.sessions[slot].searching.take() else { return Ok(true) };
        for _ in 0..SLICES_PER_TURN {
            turn.fx.work += WORK_PER_SLICE;
            if searching.search.advance(turn.directory) {
                return self.finish_search(slot, *searching, turn).map(|()| true);
            }
        }
        self.sessions[slot].searching = Some(searching);
        Ok(false)
    }

    /// Ends the search of a session's publication, because what comes now must come behind it.
    pub(crate) fn end_search(&mut self, slot: usize, turn: &mut Turn<'_>) {
        if let Some(mut searching) = self.sessions[slot].searching.take() {
            while !searching.search.advance(turn.directory) {}
            // The connection ends as it is.
            let _ = self.finish_search(slot, *searching, turn);
        }
    }

    fn finish_search(
        &mut self,
        slot: usize,
        searching: Searching,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let Searching { message, packet_id, search, number, season } = searching;
        let resident = &mut self.sessions[slot];
        if let Some(link) = resident.session.link.as_deref_mut() {
            link.pace.charge_match(search.visits(), &self.limits, turn.now);
        }
        let asked = Asked { rights: resident.standing.rights(), topic: &message.topic };
        let route = self.routes.found(asked, search);
        if season == self.season {
            self.remember_acceptance(slot, &message);
        }
        let taken = self.take_publish(slot, message, packet_id, &route, turn);
        for (shard, ticket) in self.searches.end(number) {
            self.answer_grace(shard, ticket, turn);
        }
        taken
    }

    /// Another shard, or this one, asks to be told when nothing routed before can come any more.
    pub(crate) fn receive_grace(&mut self, from: ShardId, ticket: u64, turn: &mut Turn<'_>) {
        if self.searches.is_idle() {
            self.answer_grace(from, ticket, turn);
        } else {
            self.searches.answer_later(from, ticket);
        }
    }

    fn answer_grace(&mut self, to: ShardId, ticket: u64, turn: &mut Turn<'_>) {
        if to == self.config.id {
            self.receive_graced(ticket, turn);
        } else {
            turn.fx.mail_to(to, Mail::Graced { ticket });
        }
    }
}

impl Searches {
    /// Whether none is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    fn begin(&mut self) -> u64 {
        self.next += 1;
        self.under_way.insert(self.next);
        self.next
    }

    fn answer_later(&mut self, from: ShardId, ticket: u64) {
        self.waiting.push((self.next, from, ticket));
    }

    /// A search has ended; these are to be answered now, in the order in which they asked.
    fn end(&mut self, number: u64) -> Vec<(ShardId, u64)> {
        self.under_way.remove(&number);
        let oldest = self.under_way.first().copied().unwrap_or(u64::MAX);
        let due = self.waiting.partition_point(|(last, ..)| *last < oldest);
        self.waiting.drain(..due).map(|(_, shard, ticket)| (shard, ticket)).collect()
    }
}

/// Slices of a search in one turn.
const SLICES_PER_TURN: usize = 4;
/// What a slice counts for in a turn, in deliveries.
const WORK_PER_SLICE: usize = 128;
