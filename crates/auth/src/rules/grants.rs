//! The rules that are about one client.

use super::table::{Question, Table};
use super::{Actions, Names, RuleSet};
use crate::decision::Rights;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The numbers of the rules that are about one client, in their order.
#[derive(Debug)]
pub(crate) struct Grants {
    table: Arc<Table>,
    generation: u64,
    /// First those about publishing, then those about subscribing; a rule about both stands twice.
    numbers: Box<[u16]>,
    /// How many are about publishing.
    publishing: usize,
    rights: Rights,
}

impl Grants {
    /// From the rules that are about a client with these names.
    pub(super) fn new(set: &RuleSet, rules: &[u16], names: Names<'_>) -> Self {
        let RuleSet { table, generation } = set;
        let publishing = rules.iter().filter(|number| table.actions(**number).meets(PUBLISHING));
        let mut numbers: Vec<u16> = publishing.copied().collect();
        let publishing = numbers.len();
        let rights = table.rights(&numbers, names);
        numbers.extend(rules.iter().filter(|number| table.actions(**number).meets(Actions::SUBSCRIBE)));
        Self {
            table: Arc::clone(table),
            generation: *generation,
            numbers: numbers.into(),
            publishing,
            rights,
        }
    }

    /// Whether they were made from these rules, at this generation.
    pub(crate) fn are_of(&self, rules: &RuleSet) -> bool {
        Arc::ptr_eq(&self.table, &rules.table) && self.generation == rules.generation
    }

    /// The same for all clients that may publish the same.
    pub(crate) fn rights(&self) -> Rights {
        self.rights
    }

    /// The number of the first rule that is about the question.
    pub(crate) fn deciding(&self, names: Names<'_>, question: &Question<'_>) -> Option<usize> {
        let (publishing, subscribing) = self.numbers.split_at(self.publishing);
        let numbers = if question.actions.meets(PUBLISHING) { publishing } else { subscribing };
        let mut numbers = numbers.iter().map(|number| usize::from(*number));
        numbers.find(|number| self.table.tests[*number].is_about(names, question))
    }
}

impl Table {
    fn actions(&self, number: u16) -> Actions {
        self.tests[usize::from(number)].actions
    }

    /// A name for these rules, and for the names that stand in them. It is the beginning of a cryptographic hash: a
    /// client that chooses its names cannot find ones that give it the rights of another.
    fn rights(&self, numbers: &[u16], names: Names<'_>) -> Rights {
        let tests = || numbers.iter().map(|number| &self.tests[usize::from(*number)]);
        let user = names.user.filter(|_| tests().any(|test| test.topics.uses_user()));
        let client = tests().any(|test| test.topics.uses_client()).then_some(names.client);
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
}

const PUBLISHING: Actions = Actions::PUBLISH.and(Actions::RETAIN);
