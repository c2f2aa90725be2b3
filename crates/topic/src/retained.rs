//! From a topic filter to the retained topics it matches.
//!
//! The topics are one sorted map in which the level separator is stored as U+0000, which no topic
//! contains [MQTT-4.7.3-2]. Byte order is then the order of a tree: a topic stands directly before
//! everything below it. A look-up walks the map from match to match and, where a topic does not match,
//! jumps to the smallest topic that still could. Its place is a topic, so the map may change between
//! two slices.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter;
use std::ops::{Bound, ControlFlow};

use crate::filter::{TopicFilter, begins_with_wildcard};

/// Retained messages, or whatever `V` is, by topic.
#[derive(Clone, Debug)]
pub struct RetainedTree<V> {
    topics: BTreeMap<Box<str>, V>,
}

impl<V> RetainedTree<V> {
    /// A tree without topics.
    pub fn new() -> Self {
        Self { topics: BTreeMap::new() }
    }

    /// The number of topics.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The value of `topic`.
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.topics.get(&*key_of(topic))
    }

    /// The value of `topic`, to be changed in place.
    pub fn get_mut(&mut self, topic: &str) -> Option<&mut V> {
        self.topics.get_mut(&*key_of(topic))
    }

    /// Sets the value of `topic`, a valid topic name, and returns the one it had.
    pub fn insert(&mut self, topic: &str, value: V) -> Option<V> {
        self.topics.insert(key_of(topic).into_boxed_str(), value)
    }

    /// Removes `topic` and returns its value.
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        self.topics.remove(&*key_of(topic))
    }

    /// All topics with their values, each level in byte order.
    pub fn iter(&self) -> impl Iterator<Item = (String, &V)> {
        self.topics.iter().map(|(key, value)| (topic_of(key), value))
    }
}

impl<V> Default for RetainedTree<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// A look-up of one filter that can stop and go on.
///
/// The tree may change between two slices. A topic that exists throughout is reported exactly once,
/// with the value it has then; one that is added or removed meanwhile may be reported or not. Topics
/// come in the order of [`RetainedTree::iter`].
#[derive(Clone, Debug)]
pub struct RetainedCursor {
    filter: TopicFilter,
    /// The smallest key that may still match.
    place: String,
    is_done: bool,
    topics_visited: usize,
}

impl RetainedCursor {
    /// A look-up that has not begun.
    pub fn new(filter: &TopicFilter) -> Self {
        let mut place = String::new();
        push_smallest(&mut place, filter.levels());
        Self { filter: filter.clone(), place, is_done: false, topics_visited: 0 }
    }

    /// Reports further matching topics until `report` breaks, and says whether nothing is left.
    ///
    /// A slice visits at most `visits_max` topics, at least one, matching or not. A look-up as a whole
    /// visits no topic twice; after a topic that does not match it jumps over those that cannot match
    /// either. A jump costs a few look-ups in a sorted map of all topics.
    ///
    /// A break ends the slice behind the topic that was reported.
    pub fn advance<'t, V>(
        &mut self,
        tree: &'t RetainedTree<V>,
        visits_max: usize,
        mut report: impl FnMut(&str, &'t V) -> ControlFlow<()>,
    ) -> bool {
        if self.is_done {
            return true;
        }
        let mut topic = String::new();
        let mut walk = Walk::begin(tree, &self.place);
        for _ in 0..visits_max.max(1) {
            let Some((key, value)) = walk.current else { break };
            self.topics_visited += 1;
            match judge(&self.filter, key, &mut self.place) {
                Verdict::Match => {
                    walk.go_on();
                    write_topic(&mut topic, key);
                    if report(&topic, value).is_break() {
                        break;
                    }
                }
                Verdict::JumpToPlace => walk.jump(tree, &self.place),
                Verdict::NothingLeft => walk.current = None,
            }
        }
        self.remember(walk.current.map(|(key, _)| key))
    }

    /// The next matching topic with its value, or nothing when there is none or `visits_max` visits
    /// did not find it; [`is_done`](Self::is_done) tells which. The visits made are taken from
    /// `visits_max`.
    ///
    /// Finds its place in the tree each time; [`advance`](Self::advance) is cheaper for many topics.
    pub fn next<'t, V>(
        &mut self,
        tree: &'t RetainedTree<V>,
        visits_max: &mut usize,
    ) -> Option<(String, &'t V)> {
        if *visits_max == 0 {
            return None;
        }
        let mut found = None;
        let visited_before = self.topics_visited;
        self.advance(tree, *visits_max, |topic, value| {
            found = Some((topic.to_owned(), value));
            ControlFlow::Break(())
        });
        *visits_max -= self.topics_visited - visited_before;
        found
    }

    /// Whether everything has been reported.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The filter that is looked up.
    pub fn filter(&self) -> &TopicFilter {
        &self.filter
    }

    /// The topics visited so far, matching or not: the cost of the look-up.
    pub fn topics_visited(&self) -> usize {
        self.topics_visited
    }

    fn remember(&mut self, key: Option<&str>) -> bool {
        self.place.clear();
        self.place.push_str(key.unwrap_or_default());
        self.is_done = key.is_none();
        self.is_done
    }
}

/// Where a slice stands in the map.
struct Walk<'t, V> {
    current: Option<(&'t str, &'t V)>,
    behind: Range<'t, Box<str>, V>,
}

impl<'t, V> Walk<'t, V> {
    /// At the first key that is not below `place`.
    fn begin(tree: &'t RetainedTree<V>, place: &str) -> Self {
        let behind = tree.topics.range::<str, _>((Bound::Included(place), Bound::Unbounded));
        let mut walk = Self { current: None, behind };
        walk.go_on();
        walk
    }

    fn go_on(&mut self) {
        self.current = self.behind.next().map(|(key, value)| (&**key, value));
    }

    /// To the first key that is not below `place`, which is often one of the next few.
    fn jump(&mut self, tree: &'t RetainedTree<V>, place: &str) {
        for _ in 0..STEPS_BEFORE_SEEK {
            self.go_on();
            if self.current.is_none_or(|(key, _)| key >= place) {
                return;
            }
        }
        *self = Self::begin(tree, place);
    }
}

enum Verdict {
    Match,
    /// No key before the place can match.
    JumpToPlace,
    /// No key behind this one can match.
    NothingLeft,
}

/// Compares a key with a filter. After a jump, `place` is the smallest key above `key` that may match.
fn judge(filter: &TopicFilter, key: &str, place: &mut String) -> Verdict {
    if begins_with_wildcard(filter.as_str()) && key.starts_with('$') {
        // [MQTT-4.7.2-1]; the byte after `$` stands behind all of these topics.
        place.replace_range(.., "%");
        return Verdict::JumpToPlace;
    }
    let mut levels = filter.levels();
    let mut words = words_of(key);
    // Where the word that the last `+` took ends.
    let mut plus_end = None;
    while let Some(level) = levels.next() {
        if level == "#" {
            return Verdict::Match;
        }
        let Some((begin, word)) = words.next() else {
            place.replace_range(.., key);
            place.push(SEPARATOR);
            push_smallest(place, iter::once(level).chain(levels));
            return Verdict::JumpToPlace;
        };
        if level == "+" {
            plus_end = Some(begin + word.len());
            continue;
        }
        match word.cmp(level) {
            Ordering::Equal => {}
            Ordering::Less => {
                place.replace_range(.., &key[..begin]);
                push_smallest(place, iter::once(level).chain(levels));
                return Verdict::JumpToPlace;
            }
            Ordering::Greater => return jump_behind(key, plus_end, place),
        }
    }
    if words.next().is_none() { Verdict::Match } else { jump_behind(key, plus_end, place) }
}

/// Jumps over everything in which the last `+` stands for the same word as in `key`. Without a `+` all
/// that could match has been passed.
fn jump_behind(key: &str, plus_end: Option<usize>, place: &mut String) -> Verdict {
    let Some(plus_end) = plus_end else { return Verdict::NothingLeft };
    place.replace_range(.., &key[..plus_end]);
    place.push(AFTER_SEPARATOR);
    Verdict::JumpToPlace
}

/// Appends the smallest key that matches `levels`.
fn push_smallest<'f>(key: &mut String, levels: impl Iterator<Item = &'f str>) {
    for (depth, level) in levels.take_while(|level| *level != "#").enumerate() {
        if depth > 0 {
            key.push(SEPARATOR);
        }
        if level != "+" {
            key.push_str(level);
        }
    }
}

/// The words of a key, each with the place where it begins.
fn words_of(key: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut begin = 0;
    key.split(SEPARATOR).map(move |word| {
        let word_begin = begin;
        begin += word.len() + 1;
        (word_begin, word)
    })
}

fn key_of(topic: &str) -> String {
    topic.replace('/', "\0")
}

fn topic_of(key: &str) -> String {
    key.replace(SEPARATOR, "/")
}

fn write_topic(topic: &mut String, key: &str) {
    topic.clear();
    for (begin, word) in words_of(key) {
        if begin > 0 {
            topic.push('/');
        }
        topic.push_str(word);
    }
}

/// Stands for `/` in keys: the smallest character, so that levels sort before longer words.
const SEPARATOR: char = '\0';

/// The smallest character that a word can have: behind a word it sorts behind all levels below it.
const AFTER_SEPARATOR: char = '\u{1}';

/// Measured with `examples/retained_cost.rs`: a step costs a small part of a seek.
const STEPS_BEFORE_SEEK: usize = 4;
