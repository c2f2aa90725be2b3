//! Grace: how a shard knows that a change of subscriptions is in force everywhere.
//!
//! A change is visible to all shards at the end of its turn, but they may have routed publications just
//! before they saw it, and these are on their way. So the shard asks every other one, and the answer takes its
//! place behind what the other has sent: mail between two shards keeps its order. When all have answered,
//! nothing that was routed with the old subscriptions can arrive any more, and SUBACK, UNSUBACK and the
//! retained messages of the subscription may follow.

use crate::mail::{Mail, Promise, ShardId};
use crate::shard::{Shard, Turn};
use std::collections::VecDeque;

/// The promises that wait for grace, in order.
#[derive(Debug, Default)]
pub(crate) struct Graces {
    waiting: VecDeque<Grace>,
    /// The ticket of the first of them.
    first: u64,
}

#[derive(Debug)]
struct Grace {
    promises: Vec<Promise>,
    /// How many shards have not answered.
    missing: u16,
}

impl Shard {
    /// Keeps promises whose records are durable and whose changes are visible, at once or after grace.
    pub(crate) fn keep_promises(&mut self, promises: Vec<Promise>, turn: &mut Turn<'_>) {
        let mut graced = Vec::new();
        for promise in promises {
            if promise.needs_grace && (self.config.shards > 1 || !self.searches.is_idle()) {
                graced.push(promise);
            } else {
                self.release(promise, turn);
            }
        }
        if !graced.is_empty() {
            self.ask_for_grace(graced, turn);
        }
    }

    fn ask_for_grace(&mut self, promises: Vec<Promise>, turn: &mut Turn<'_>) {
        let (from, ticket) = (self.config.id, self.graces.first + self.graces.waiting.len() as u64);
        let others = (0..self.config.shards).map(ShardId).filter(|shard| *shard != from);
        for shard in others {
            turn.fx.mail_to(shard, Mail::Grace { from, ticket });
        }
        self.graces.waiting.push_back(Grace { promises, missing: self.config.shards });
        self.receive_grace(from, ticket, turn);
    }

    /// A shard has answered. It answers in order, so the first question is the first to be answered by all.
    pub(crate) fn receive_graced(&mut self, ticket: u64, turn: &mut Turn<'_>) {
        let place = ticket.checked_sub(self.graces.first).and_then(|place| usize::try_from(place).ok());
        if let Some(grace) = place.and_then(|place| self.graces.waiting.get_mut(place)) {
            grace.missing = grace.missing.saturating_sub(1);
        }
        while self.graces.waiting.front().is_some_and(|grace| grace.missing == 0) {
            let Some(grace) = self.graces.waiting.pop_front() else { return };
            self.graces.first += 1;
            for promise in grace.promises {
                self.release(promise, turn);
            }
        }
    }
}
