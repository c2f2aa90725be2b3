//! The routes that a shard has found, and how it finds one.
//!
//! Routes are kept by the rights of the publisher and the topic. A kept route is used without asking anybody as
//! long as the [generation](crate::Generations) of its topic is the one it was found at.

use crate::directory::{Directory, Interest, Subscriber};
use crate::generations::{Generation, Watch};
use crate::groups::Roster;
use crate::route::Route;
use hashbrown::{DefaultHashBuilder, HashTable};
use noctule_auth::Rights;
use noctule_codec::QoS;
use noctule_session::GroupNumber;
use noctule_topic::MatchCursor;
use std::hash::BuildHasher as _;
use std::sync::Arc;

/// The routes that a shard has found, the ones used lately.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Entries found or used since `old` was `young`.
    young: HashTable<Entry>,
    old: HashTable<Entry>,
    young_bytes: u64,
    bytes_max: u64,
    hasher: DefaultHashBuilder,
    /// What a match finds before it is sorted.
    entries: Vec<(Subscriber, Interest)>,
}

/// A route with what proves that it is still true.
#[derive(Debug)]
struct Entry {
    rights: Option<Rights>,
    topic: Box<str>,
    watch: Watch,
    generation: Generation,
    route: Arc<Route>,
    accepted: Accepted,
}

/// Kinds of publications that may be made with the rights of an entry on its topic.
#[derive(Clone, Copy, Debug, Default)]
struct Accepted {
    /// The [generation](noctule_auth::Authority::generation) of the decisions.
    generation: u64,
    /// A bit for each [`Kind`].
    kinds: u8,
}

/// What is known of a publication before it is looked at.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) is_accepted: bool,
}

/// A search for the route of a topic, which may take several turns.
#[derive(Debug)]
pub(crate) struct Search {
    filters: MatchCursor<Subscriber>,
    groups: MatchCursor<GroupNumber>,
    watch: Watch,
    generation: Generation,
    entries: Vec<(Subscriber, Interest)>,
    rosters: Vec<Arc<Roster>>,
}

/// What a decision about a publication depends on, besides its topic and who makes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind(pub(crate) QoS, pub(crate) bool);

/// What an entry is found by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) rights: Option<Rights>,
    pub(crate) topic: &'a str,
}

impl Routes {
    /// No routes; at most so many bytes of them will be kept.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            young: HashTable::new(),
            old: HashTable::new(),
            young_bytes: 0,
            bytes_max,
            hasher: DefaultHashBuilder::default(),
            entries: Vec::new(),
        }
    }

    /// What is known of a publication that is asked for: its route, if it is kept and still true, and whether
    /// one of this kind was accepted before, at this generation of the rights. No guard is passed for it.
    pub(crate) fn look_up(
        &mut self,
        directory: &Directory,
        asked: Asked<'_>,
        kind: Kind,
        rights_generation: u64,
    ) -> Known {
        let hash = self.hash(asked);
        let Some(entry) = self.entry(hash, asked) else { return Known::default() };
        let is_current = entry.generation == directory.generations.current(&entry.watch);
        Known {
            route: is_current.then(|| Arc::clone(&entry.route)),
            is_accepted: asked.rights.is_some() && entry.accepted.has(kind, rights_generation),
        }
    }

    /// Remembers that a publication of this kind was accepted.
    pub(crate) fn accept(&mut self, asked: Asked<'_>, kind: Kind, rights_generation: u64) {
        let hash = self.hash(asked);
        if let Some(entry) = self.entry(hash, asked) {
            entry.accepted.add(kind, rights_generation);
        }
    }

    /// An entry that is kept, among the young ones from now on.
    fn entry(&mut self, hash: u64, asked: Asked<'_>) -> Option<&mut Entry> {
        // Almost always there are no old ones, or it is among the young.
        if !self.old.is_empty()
            && self.young.find(hash, |entry| entry.is_for(asked)).is_none()
            && let Ok(used_again) = self.old.find_entry(hash, |entry| entry.is_for(asked))
        {
            let (entry, _) = used_again.remove();
            self.keep(hash, entry);
        }
        self.young.find_mut(hash, |entry| entry.is_for(asked))
    }

    /// The route that a search has found, which is kept from now on.
    pub(crate) fn found(&mut self, asked: Asked<'_>, search: Search) -> Arc<Route> {
        let Search { watch, generation, mut entries, rosters, .. } = search;
        let route = Arc::new(Route::of(&mut entries, rosters));
        let hash = self.hash(asked);
        if let Some(entry) = self.young.find_mut(hash, |entry| entry.is_for(asked)) {
            self.young_bytes += route.bytes() as u64;
            (entry.route, entry.generation) = (Arc::clone(&route), generation);
        } else {
            let (rights, topic, accepted) = (asked.rights, asked.topic.into(), Accepted::default());
            self.keep(hash, Entry { rights, topic, watch, generation, route: Arc::clone(&route), accepted });
        }
        self.entries = entries;
        if self.entries.capacity() > ENTRIES_KEPT {
            self.entries = Vec::new();
        }
        route
    }

    /// Begins a search. The generation is that of its beginning: what changes meanwhile makes the route stale,
    /// and never goes unnoticed.
    pub(crate) fn search(&mut self, directory: &Directory, topic: &str) -> Search {
        let watch = directory.generations.watch(topic);
        let generation = directory.generations.current(&watch);
        let mut entries = std::mem::take(&mut self.entries);
        entries.clear();
        let (filters, groups) = (MatchCursor::new(topic), MatchCursor::new(topic));
        Search { filters, groups, watch, generation, entries, rosters: Vec::new() }
    }

    /// Keeps an entry among the young ones. When these take half the room, the old ones are forgotten.
    fn keep(&mut self, hash: u64, entry: Entry) {
        let bytes = entry.bytes();
        if self.young_bytes + bytes > self.bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if bytes <= self.bytes_max / 2 {
            self.young_bytes += bytes;
            let hasher = &self.hasher;
            self.young.insert_unique(hash, entry, |entry| hasher.hash_one((entry.rights, &*entry.topic)));
        }
    }

    fn hash(&self, asked: Asked<'_>) -> u64 {
        self.hasher.hash_one((asked.rights, asked.topic))
    }
}

impl Search {
    /// Goes on for one slice, during which the index does not change. Says whether it is complete.
    pub(crate) fn advance(&mut self, directory: &Directory) -> bool {
        let Self { filters, groups, entries, rosters, .. } = self;
        if !filters.is_done() {
            directory.filters.read(|index| {
                filters.advance(index, STEPS_PER_SLICE, |subscriber, interest| {
                    entries.push((subscriber, *interest));
                })
            });
        } else if !groups.is_done() {
            directory.groups.read(|index| index.search(groups, STEPS_PER_SLICE, rosters));
        }
        filters.is_done() && groups.is_done()
    }

    /// Nodes of the index visited so far.
    pub(crate) fn visits(&self) -> usize {
        self.filters.nodes_visited() + self.groups.nodes_visited()
    }
}

impl Entry {
    fn is_for(&self, asked: Asked<'_>) -> bool {
        self.rights == asked.rights && *self.topic == *asked.topic
    }

    fn bytes(&self) -> u64 {
        (size_of::<Self>() + self.topic.len() + self.route.bytes()) as u64
    }
}

impl Accepted {
    fn has(self, kind: Kind, generation: u64) -> bool {
        self.generation == generation && self.kinds & kind.bit() != 0
    }

    fn add(&mut self, kind: Kind, generation: u64) {
        if self.generation != generation {
            *self = Self { generation, kinds: 0 };
        }
        self.kinds |= kind.bit();
    }
}

impl Kind {
    fn bit(self) -> u8 {
        1 << (self.0 as u8 * 2 + u8::from(self.1))
    }
}

/// Steps of a search during which the index does not change: 50 µs at the most.
const STEPS_PER_SLICE: usize = 512;
/// A match of more subscribers than this gives its room back.
const ENTRIES_KEPT: usize = 16_384;
