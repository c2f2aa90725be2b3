//! The walk through the retained topics that match one filter, in slices.
//!
//! A walk goes depth first through the children that fit the filter. Its place is the node to visit
//! next, as the words that lead there. Words are remembered by the number they have in the tree, which
//! stays theirs as long as any topic has them. Where a word of the place is gone, so are the topics
//! behind it, and the walk goes on with the next child; where its number has been given to another word,
//! the walk may visit topics that are new, and only such.

use std::ops::ControlFlow;

use super::{Node, RetainedTree};
use crate::filter::TopicFilter;
use crate::tables::{LevelId, Levels, Slot};

/// A look-up of one filter that can stop and go on, in one and the same tree.
///
/// The tree may change between two slices. A topic that exists throughout is reported exactly once, with
/// the value it has then; one that is added or removed meanwhile may be reported or not. Topics come in
/// no particular order.
#[derive(Clone, Debug)]
pub struct RetainedCursor {
    pattern: Pattern,
    path: Vec<Step>,
    is_done: bool,
    nodes_visited: usize,
    /// The topic reported last; the levels of the first `steps_written` steps are still right.
    topic: String,
    steps_written: usize,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    level: LevelId,
    /// The node this step leads to; valid within one slice.
    node: Slot,
    /// Where the level ends in the topic, if written.
    end: usize,
}

impl RetainedCursor {
    /// A look-up that has not begun.
    pub fn new(filter: &TopicFilter) -> Self {
        Self::of(Pattern::new(filter))
    }

    /// Like `#`, or all topics that begin with `$`.
    pub fn of_all(begins_with_dollar: bool) -> Self {
        Self::of(Pattern { levels: [Level::Hash].into(), begins_with_dollar, levels_looked_up: 0 })
    }

    fn of(pattern: Pattern) -> Self {
        Self {
            pattern,
            path: Vec::new(),
            is_done: false,
            nodes_visited: 0,
            topic: String::new(),
            steps_written: 0,
        }
    }

    /// Reports further matching topics until `report` breaks, and says whether nothing is left.
    ///
    /// A slice visits at most `visits_max` nodes of the tree, at least one. A look-up as a whole visits no
    /// node twice, and none whose levels do not fit the filter so far. Finding the place again costs one
    /// look-up for each of its levels.
    ///
    /// A break ends the slice behind the topic that was reported.
    pub fn advance<'t, V>(
        &mut self,
        tree: &'t RetainedTree<V>,
        visits_max: usize,
        mut report: impl FnMut(&str, &'t V) -> ControlFlow<()>,
    ) -> bool {
        self.find_place_again(tree);
        for _ in 0..visits_max.max(1) {
            if self.is_done {
                break;
            }
            let flow = self.visit(tree, &mut report);
            self.go_on(tree);
            if flow.is_break() {
                break;
            }
        }
        self.is_done
    }

    /// The look-up of the same filter that has not begun.
    #[must_use]
    pub fn from_the_start(&self) -> Self {
        Self::of(self.pattern.clone())
    }

    /// Like [`advance`](Self::advance), and stops where another look-up of the same filter has got to, which counts as
    /// the end. What is reported that other one has passed.
    pub fn follow<'t, V>(
        &mut self,
        ahead: &Self,
        tree: &'t RetainedTree<V>,
        visits_max: usize,
        mut report: impl FnMut(&str, &'t V),
    ) -> bool {
        self.find_place_again(tree);
        for _ in 0..visits_max.max(1) {
            if !self.is_behind(ahead) {
                break;
            }
            let _ = self.visit(tree, |topic, value| {
                report(topic, value);
                ControlFlow::Continue(())
            });
            self.go_on(tree);
        }
        !self.is_behind(ahead)
    }

    /// Whether the other look-up has passed the node that is the next of this one.
    fn is_behind(&self, ahead: &Self) -> bool {
        let levels = |step: &Step| step.level;
        !self.is_done && (ahead.is_done || self.path.iter().map(levels).lt(ahead.path.iter().map(levels)))
    }

    /// The next matching topic with its value, or nothing when there is none or `visits_max` visits did
    /// not find it; [`is_done`](Self::is_done) tells which. The visits made are taken from `visits_max`.
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
        let visited_before = self.nodes_visited;
        self.advance(tree, *visits_max, |topic, value| {
            found = Some((topic.to_owned(), value));
            ControlFlow::Break(())
        });
        *visits_max -= self.nodes_visited - visited_before;
        found
    }

    /// Whether everything has been reported.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The nodes visited so far, whether they had a matching topic or not: the cost of the look-up.
    pub fn nodes_visited(&self) -> usize {
        self.nodes_visited
    }

    /// Looks up the nodes of the path. Where one is gone, the walk goes on behind it.
    fn find_place_again<V>(&mut self, tree: &RetainedTree<V>) {
        self.pattern.levels_looked_up = 0;
        self.steps_written = 0;
        let mut parent = self.root(tree);
        for depth in 0..self.path.len() {
            let level = self.path[depth].level;
            let fits = self.pattern.fits(depth, level, &tree.levels);
            let node = tree.nodes.get(parent).children.get(level).filter(|_| fits);
            let Some(&node) = node else {
                self.path.truncate(depth + 1);
                self.leave(tree);
                return;
            };
            self.path[depth].node = node;
            parent = node;
        }
    }

    /// Reports the node's topic if it matches.
    fn visit<'t, V>(
        &mut self,
        tree: &'t RetainedTree<V>,
        report: impl FnOnce(&str, &'t V) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.nodes_visited += 1;
        if !self.pattern.matches_at(self.path.len()) {
            return ControlFlow::Continue(());
        }
        let Some(value) = &self.node(tree).value else { return ControlFlow::Continue(()) };
        self.write_topic(&tree.levels);
        report(&self.topic, value)
    }

    /// Goes to the node to visit next.
    fn go_on<V>(&mut self, tree: &RetainedTree<V>) {
        if !self.descend(tree, None) {
            self.leave(tree);
        }
    }

    /// Goes to the first fitting child with a level above `after`.
    fn descend<V>(&mut self, tree: &RetainedTree<V>, after: Option<LevelId>) -> bool {
        let children = &self.node(tree).children;
        let child = match self.pattern.choice(self.path.len(), &tree.levels) {
            Choice::Any => children.next(after),
            Choice::Word(level) if after.is_none() => children.get(level).map(|node| (level, node)),
            Choice::Word(_) | Choice::Nothing => None,
        };
        let Some((level, &node)) = child else { return false };
        self.path.push(Step { level, node, end: 0 });
        true
    }

    /// Goes to the next node that is not below the current one.
    fn leave<V>(&mut self, tree: &RetainedTree<V>) {
        while let Some(step) = self.path.pop() {
            self.steps_written = self.steps_written.min(self.path.len());
            if self.descend(tree, Some(step.level)) {
                return;
            }
        }
        self.is_done = true;
    }

    fn write_topic(&mut self, levels: &Levels) {
        let written = self.path[..self.steps_written].last();
        self.topic.truncate(written.map_or(0, |step| step.end));
        for (depth, step) in self.path.iter_mut().enumerate().skip(self.steps_written) {
            if depth > 0 {
                self.topic.push('/');
            }
            self.topic.push_str(levels.word(step.level));
            step.end = self.topic.len();
        }
        self.steps_written = self.path.len();
    }

    fn root<V>(&self, tree: &RetainedTree<V>) -> Slot {
        if self.pattern.begins_with_dollar { tree.dollar_root } else { tree.root }
    }

    fn node<'t, V>(&self, tree: &'t RetainedTree<V>) -> &'t Node<V> {
        tree.nodes.get(self.path.last().map_or_else(|| self.root(tree), |step| step.node))
    }
}

/// A filter in the form that a walk asks: what may come at a depth?
#[derive(Clone, Debug)]
struct Pattern {
    levels: Box<[Level]>,
    begins_with_dollar: bool,
    /// The levels at the front whose words have been looked up in this slice.
    levels_looked_up: usize,
}

#[derive(Clone, Debug)]
enum Level {
    Word { text: Box<str>, level: Option<LevelId> },
    Plus,
    Hash,
}

/// Which children of a node fit the filter.
enum Choice {
    Any,
    Word(LevelId),
    Nothing,
}

impl Pattern {
    fn new(filter: &TopicFilter) -> Self {
        let levels = filter.levels().map(Level::new).collect();
        Self { levels, begins_with_dollar: filter.as_str().starts_with('$'), levels_looked_up: 0 }
    }

    /// Whether a topic that fits and ends at `depth` is matched by the whole filter.
    fn matches_at(&self, depth: usize) -> bool {
        matches!(self.levels.get(depth), None | Some(Level::Hash))
    }

    fn fits(&mut self, depth: usize, level: LevelId, levels: &Levels) -> bool {
        match self.choice(depth, levels) {
            Choice::Any => true,
            Choice::Word(word) => word == level,
            Choice::Nothing => false,
        }
    }

    fn choice(&mut self, depth: usize, levels: &Levels) -> Choice {
        self.look_up_to(depth, levels);
        match self.levels.get(depth).or(self.levels.last()) {
            Some(Level::Word { level: Some(level), .. }) if depth < self.levels.len() => Choice::Word(*level),
            Some(Level::Plus) if depth < self.levels.len() => Choice::Any,
            Some(Level::Hash) => Choice::Any,
            _ => Choice::Nothing,
        }
    }

    fn look_up_to(&mut self, depth: usize, levels: &Levels) {
        while self.levels_looked_up <= depth && self.levels_looked_up < self.levels.len() {
            if let Level::Word { text, level } = &mut self.levels[self.levels_looked_up] {
                *level = levels.find(text);
            }
            self.levels_looked_up += 1;
        }
    }
}

impl Level {
    fn new(text: &str) -> Self {
        match text {
            "+" => Self::Plus,
            "#" => Self::Hash,
            word => Self::Word { text: word.into(), level: None },
        }
    }
}
