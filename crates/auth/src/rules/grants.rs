//! The rules that are about one client.

use super::table::{Question, Table};
use super::{Actions, Names, TopicPattern};
use crate::decision::Rights;
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// The numbers of the rules that are about one client, in their order.
#[derive(Debug)]
pub(crate) struct Grants {
    token: Arc<()>,
    /// First those about publishing, then those about subscribing; a rule about both stands twice.
    numbers: Box<[u16]>,
    /// How many are about publishing.
    publishing: usize,
}

/// What [`Grants`] belong to: a set of rules, and a time in which clients keep their groups.
#[derive(Debug)]
pub(super) struct Season {
    pub(super) generation: u64,
    /// The same for all grants of this season, and for no others.
    token: Arc<()>,
    /// Most clients have the same rules, so the first different lists are kept to be shared.
    shared: [OnceLock<Arc<Grants>>; SHARED],
}

impl Grants {
    /// From the rules that are about a client.
    pub(super) fn new(table: &Table, season: &Season, rules: &[u16]) -> Self {
        let of = |actions| {
            rules
                .iter()
                .copied()
                .filter(move |number| table.gates[usize::from(*number)].actions.meets(actions))
        };
        let publishing = of(PUBLISHING).count();
        let numbers = of(PUBLISHING).chain(of(Actions::SUBSCRIBE)).collect();
        Self { token: Arc::clone(&season.token), numbers, publishing }
    }

    /// Whether they were made in this season.
    pub(super) fn are_of(&self, season: &Season) -> bool {
        Arc::ptr_eq(&self.token, &season.token)
    }

    /// The number of the first rule that is about the question.
    pub(super) fn deciding(&self, table: &Table, names: Names<'_>, question: &Question<'_>) -> Option<usize> {
        let (publishing, subscribing) = self.numbers.split_at(self.publishing);
        let numbers = if question.actions.meets(PUBLISHING) { publishing } else { subscribing };
        let mut numbers = numbers.iter().map(|number| usize::from(*number));
        numbers.find(|number| {
            table.gates[*number].lets_through(question) && table.tests[*number].is_about(names, question)
        })
    }

    /// The number of the first rule that is about receiving something.
    pub(super) fn first_about_deliveries(&self, table: &Table) -> Option<usize> {
        let mut numbers = self.numbers[self.publishing..].iter().map(|number| usize::from(*number));
        numbers.find(|number| table.gates[*number].actions.meets(Actions::RECEIVE))
    }

    /// A name for what is said about publishing: for the rules, and for the names that stand in them. It is the
    /// beginning of a cryptographic hash: a client that chooses its names cannot find ones that give it the rights of
    /// another.
    pub(super) fn rights(&self, table: &Table, names: Names<'_>) -> Rights {
        let numbers = &self.numbers[..self.publishing];
        let topics = || numbers.iter().map(|number| &table.tests[usize::from(*number)].topics);
        let user = names.user.filter(|_| topics().any(TopicPattern::uses_user));
        let client = topics().any(TopicPattern::uses_client).then_some(names.client);
        let mut hash = Sha256::new();
        // Lengths first, so that what comes behind can be read in one way only.
        for length in [numbers.len(), user.map_or(0, str::len)] {
            hash.update((length as u64).to_le_bytes());
        }
        for number in numbers {
            hash.update(number.to_le_bytes());
        }
        hash.update(user.unwrap_or_default());
        hash.update(client.unwrap_or_default());
        let hash: [u8; 32] = hash.finalize().into();
        Rights(u64::from_le_bytes(std::array::from_fn(|at| hash[at])))
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.numbers == other.numbers && self.publishing == other.publishing
    }
}

impl Season {
    pub(super) fn new(generation: u64) -> Self {
        Self { generation, token: Arc::default(), shared: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// The same grants, shared with clients that have the same.
    pub(super) fn share(&self, grants: Grants) -> Arc<Grants> {
        let mix = |hash: usize, number: &u16| hash.wrapping_mul(31).wrapping_add(usize::from(*number));
        let place = grants.numbers.iter().fold(0, mix) % SHARED;
        let grants = Arc::new(grants);
        let shared = self.shared[place].get_or_init(|| Arc::clone(&grants));
        if shared.says_the_same(&grants) { Arc::clone(shared) } else { grants }
    }
}

impl Default for Season {
    fn default() -> Self {
        Self::new(0)
    }
}

const PUBLISHING: Actions = Actions::PUBLISH.and(Actions::RETAIN);
/// How many lists are kept to be shared.
const SHARED: usize = 64;
