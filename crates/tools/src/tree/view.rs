//! What a user sees of the tree: the cursor, what is folded and found, and the picture of it.

use super::model::{Last, NodeId, Tree};
use crate::picture::{fitted, parts, put, width_of};
use crate::preview::{ago, plain, preview};
use crate::progress::counted;
use crate::screen::Key;
use crate::search::Search;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Modifier, Style};
use std::collections::HashSet;
use std::time::Duration;

/// The state of the screen.
#[derive(Debug)]
pub(super) struct View {
    /// What is subscribed, for the headline.
    filters: String,
    /// What is to be known of the connection.
    told: String,
    /// The line that keys act on. It stays on its topic when others come.
    cursor: Option<NodeId>,
    folded: HashSet<NodeId>,
    search: Search,
    /// The first line on the screen.
    top: usize,
    /// Lines that the screen has for topics, since it was drawn last.
    height: usize,
}

/// A line: a node and how deep it stands.
type Row = (NodeId, usize);

impl View {
    pub(super) fn new(filters: &[String]) -> Self {
        Self {
            filters: filters.join(" "),
            told: String::new(),
            cursor: None,
            folded: HashSet::new(),
            search: Search::default(),
            top: 0,
            height: 1,
        }
    }

    /// Something about the connection.
    pub(super) fn tell(&mut self, what: &str) {
        what.clone_into(&mut self.told);
    }

    /// A key was pressed. Returns whether it goes on.
    pub(super) fn press(&mut self, key: Key, tree: &Tree) -> bool {
        if self.search.is_typed() {
            return self.type_search(key, tree);
        }
        match key {
            Key::Interrupt | Key::Char('q') => return false,
            Key::Up | Key::Char('k') => self.go(tree, -1),
            Key::Down | Key::Char('j') => self.go(tree, 1),
            Key::PageUp => self.go(tree, -self.page()),
            Key::PageDown => self.go(tree, self.page()),
            Key::Home | Key::Char('g') => self.go(tree, isize::MIN),
            Key::End | Key::Char('G') => self.go(tree, isize::MAX),
            Key::Left | Key::Char('h') => self.fold_or_leave(tree),
            Key::Right | Key::Char('l') => self.unfold_or_enter(tree),
            Key::Enter | Key::Char(' ') => self.toggle(tree),
            Key::Char('-') => self.fold_all(tree),
            Key::Char('+') => self.folded.clear(),
            Key::Char('/') => self.search.begin(),
            Key::Char('n') => self.find(tree, Direction::Forward),
            Key::Char('N') => self.find(tree, Direction::Backward),
            Key::Escape => self.search.clear(),
            _ => {}
        }
        true
    }

    /// Draws the tree into the area.
    pub(super) fn draw(&mut self, tree: &Tree, now: Duration, area: Rect, buffer: &mut Buffer) {
        if area.height == 0 || area.width == 0 {
            return;
        }
        let [head, body, foot] = parts(area);
        put(buffer, head, &self.headline(tree), Style::new().add_modifier(Modifier::BOLD));
        let rows = self.rows(tree);
        self.scroll(&rows, body.height.into());
        let shown = rows.iter().skip(self.top).take(body.height.into());
        let columns = Columns::new(tree, shown.clone(), body.width.into());
        for (y, (id, depth)) in (body.y..).zip(shown) {
            let line = Rect { y, height: 1, ..body };
            put(
                buffer,
                line,
                &columns.line(tree, (*id, *depth), self.mark(tree, *id), now),
                self.style(tree, *id),
            );
        }
        put(buffer, foot, &self.footline(), Style::new().add_modifier(Modifier::DIM));
    }

    fn headline(&self, tree: &Tree) -> String {
        let left_out = match tree.left_out() {
            0 => String::new(),
            count => format!(", {count} left out"),
        };
        let topics = counted(tree.topics() as u64, "topic");
        let messages = counted(tree.messages(), "message");
        format!("{}  {topics}, {messages}{left_out}  {}", self.filters, self.told)
    }

    fn footline(&self) -> String {
        match self.search.line() {
            Some(line) => line,
            None => "q quit  ↑↓ move  ←→ fold  +- all  / search  n N next".to_owned(),
        }
    }

    /// The lines there are, those below folded ones excepted.
    fn rows(&self, tree: &Tree) -> Vec<Row> {
        tree.walk(|id| !self.folded.contains(&id))
    }

    /// Keeps the cursor on a line there is, and that line on the screen.
    fn scroll(&mut self, rows: &[Row], height: usize) {
        self.height = height.max(1);
        if self.cursor.is_none() {
            self.cursor = rows.first().map(|(id, _)| *id);
        }
        let place = self.place(rows);
        self.top = self.top.clamp((place + 1).saturating_sub(self.height), place);
        self.top = self.top.min(rows.len().saturating_sub(self.height));
    }

    /// The line of the cursor.
    fn place(&self, rows: &[Row]) -> usize {
        rows.iter().position(|(id, _)| Some(*id) == self.cursor).unwrap_or(0)
    }

    fn page(&self) -> isize {
        isize::try_from(self.height.saturating_sub(1).max(1)).unwrap_or(1)
    }

    fn go(&mut self, tree: &Tree, lines: isize) {
        let rows = self.rows(tree);
        let place = self.place(&rows).saturating_add_signed(lines).min(rows.len().saturating_sub(1));
        self.cursor = rows.get(place).map(|(id, _)| *id);
    }

    fn fold_or_leave(&mut self, tree: &Tree) {
        let Some(id) = self.cursor else { return };
        if !tree.is_leaf(id) && self.folded.insert(id) {
            return;
        }
        self.cursor = tree.parent(id).or(self.cursor);
    }

    fn unfold_or_enter(&mut self, tree: &Tree) {
        let Some(id) = self.cursor else { return };
        if !self.folded.remove(&id) {
            self.cursor = tree.children(id).next().or(self.cursor);
        }
    }

    fn toggle(&mut self, tree: &Tree) {
        let Some(id) = self.cursor else { return };
        if !self.folded.remove(&id) && !tree.is_leaf(id) {
            self.folded.insert(id);
        }
    }

    /// Leaves the first level. The cursor goes up to it.
    fn fold_all(&mut self, tree: &Tree) {
        let inner = tree.walk(|_| true).into_iter().filter(|(id, _)| !tree.is_leaf(*id));
        self.folded = inner.map(|(id, _)| id).collect();
        while let Some(parent) = self.cursor.and_then(|id| tree.parent(id)) {
            self.cursor = Some(parent);
        }
    }

    fn type_search(&mut self, key: Key, tree: &Tree) -> bool {
        if key == Key::Interrupt {
            return false;
        }
        if self.search.press(key) {
            self.find(tree, Direction::Here);
        }
        true
    }

    /// Goes to a topic that has what is searched for, unfolding what hides it.
    fn find(&mut self, tree: &Tree, direction: Direction) {
        if self.search.is_empty() {
            return;
        }
        let rows = tree.walk(|_| true);
        let place = self.place(&rows);
        let at = |steps: usize| match direction {
            Direction::Here => (place + steps) % rows.len(),
            Direction::Forward => (place + 1 + steps) % rows.len(),
            Direction::Backward => (place + 2 * rows.len() - 1 - steps) % rows.len(),
        };
        let found = (0..rows.len()).map(|steps| rows[at(steps)].0).find(|id| self.has(tree, *id));
        let Some(found) = found else { return };
        self.cursor = Some(found);
        let mut next = tree.parent(found);
        while let Some(id) = next {
            self.folded.remove(&id);
            next = tree.parent(id);
        }
    }

    /// Whether a node is what is searched for. What is below it has its name as well and is not found by that.
    fn has(&self, tree: &Tree, id: NodeId) -> bool {
        let above = tree.parent(id).is_some_and(|parent| self.search.finds(&tree.topic(parent)));
        !above && self.search.finds(&tree.topic(id))
    }

    fn mark(&self, tree: &Tree, id: NodeId) -> char {
        match (tree.is_leaf(id), self.folded.contains(&id)) {
            (true, _) => ' ',
            (false, true) => '▸',
            (false, false) => '▾',
        }
    }

    fn style(&self, tree: &Tree, id: NodeId) -> Style {
        let mut style = Style::new();
        if self.cursor == Some(id) {
            style = style.add_modifier(Modifier::REVERSED);
        }
        if !self.search.is_empty() && self.has(tree, id) {
            style = style.add_modifier(Modifier::BOLD);
        }
        style
    }
}

/// Where a search looks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// Where the cursor is.
    Here,
    Forward,
    Backward,
}

/// How wide the parts of a line are. A narrow screen has fewer of them.
#[derive(Clone, Copy, Debug)]
struct Columns {
    name: usize,
    value: usize,
    has_figures: bool,
}

impl Columns {
    fn new<'a>(tree: &Tree, rows: impl Iterator<Item = &'a Row>, width: usize) -> Self {
        let widest =
            rows.map(|(id, depth)| margin(*depth) + width_of(&tree.node(*id).name)).max().unwrap_or(0);
        let has_figures = width >= 50;
        let figures = if has_figures { FIGURES_WIDTH } else { 0 };
        let rest = width.saturating_sub(figures + MARKS_WIDTH);
        let name = widest.min(rest.saturating_sub(8).max(rest / 2));
        Self { name, value: rest.saturating_sub(name), has_figures }
    }

    /// The name, the value, the mark of what is retained, how often and when.
    fn line(self, tree: &Tree, (id, depth): Row, mark: char, now: Duration) -> String {
        let node = tree.node(id);
        let name = format!("{}{mark} {}", " ".repeat(2 * depth), plain(&node.name, NAME_CHARACTERS_MAX));
        // A level without a value has its place for the name.
        let named = match &node.last {
            Some(last) => format!("{} {}", fitted(&name, self.name), fitted(&value(last), self.value)),
            None => fitted(&name, self.name + 1 + self.value),
        };
        let retained = if node.last.as_ref().is_some_and(|last| last.is_retained) { 'R' } else { ' ' };
        let mut line = format!("{named} {retained}");
        if self.has_figures {
            let age = node.last.as_ref().map(|last| ago(now.saturating_sub(last.at).as_secs()));
            line.push_str(&format!("{:>9} {:>7}", node.messages_below, age.unwrap_or_default()));
        }
        line
    }
}

fn value(last: &Last) -> String {
    if last.bytes == 0 { "(empty)".to_owned() } else { preview(&last.value, VALUE_CHARACTERS_MAX) }
}

/// What stands in front of a name.
fn margin(depth: usize) -> usize {
    2 * depth + 2
}

/// The mark in front of what is retained, and the blanks between.
const MARKS_WIDTH: usize = 3;
/// The count and the age.
const FIGURES_WIDTH: usize = 17;
/// More than any screen shows.
const NAME_CHARACTERS_MAX: usize = 500;
const VALUE_CHARACTERS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::super::model::tests::tree as heard;
    use super::*;
    use crate::testing::{lines, message};

    /// What the screen shows, line by line.
    fn screen(view: &mut View, tree: &Tree, (width, height): (u16, u16)) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        view.draw(tree, Duration::from_secs(90), area, &mut buffer);
        lines(&buffer)
    }

    /// The names on the screen with what stands in front of them, and a star behind the line of the cursor.
    fn names(view: &mut View, tree: &Tree, height: u16) -> Vec<String> {
        let area = Rect::new(0, 0, 40, height);
        let mut buffer = Buffer::empty(area);
        view.draw(tree, Duration::ZERO, area, &mut buffer);
        let name = |y| {
            let text: String = (0..40).map(|x| buffer[(x, y)].symbol()).collect();
            let is_cursor = buffer[(0, y)].modifier.contains(Modifier::REVERSED);
            let place = text.find(|letter: char| letter.is_alphanumeric()).unwrap_or(0);
            let word = text[place..].split_whitespace().next().unwrap_or("").to_owned();
            format!("{}{word}{}", &text[..place], if is_cursor { "*" } else { "" })
        };
        (1..height - 1).map(name).filter(|name| !name.is_empty()).collect()
    }

    fn press(view: &mut View, tree: &Tree, keys: &str) {
        for key in keys.chars() {
            let key = match key {
                '⏎' => Key::Enter,
                '⎋' => Key::Escape,
                '⇟' => Key::PageDown,
                other => Key::Char(other),
            };
            assert!(view.press(key, tree));
        }
    }

    fn example() -> Tree {
        heard(&[("a/b/c", "1"), ("a/b/d", "2"), ("e", "3"), ("f/b", "4")])
    }

    #[test]
    fn everything_about_a_topic_is_on_its_line() {
        let mut tree = heard(&[("line1/temp", "20"), ("line1/temp", "21.5"), ("line1/raw", "\u{1b}[2J")]);
        tree.hear(&message("state", b"", false), Duration::from_secs(30));
        tree.hear(&message("größe/日本", b"12", true), Duration::from_secs(90));
        let mut view = View::new(&["#".to_owned()]);
        assert_eq!(
            screen(&mut view, &tree, (60, 8)),
            [
                "#  4 topics, 5 messages",
                "▾ größe                                            1",
                "    日本 12                               R        1     0 s",
                "▾ line1                                            3",
                "    raw  ·[2J                                      1   1 min",
                "    temp 21.5                                      2   1 min",
                "  state  (empty)                                   1   1 min",
                "q quit  ↑↓ move  ←→ fold  +- all  / search  n N next",
            ]
            .map(str::to_owned)
        );
    }

    #[test]
    fn the_cursor_moves_and_levels_fold() {
        let tree = example();
        let mut view = View::new(&[]);
        assert_eq!(
            names(&mut view, &tree, 12),
            ["▾ a*", "  ▾ b", "      c", "      d", "  e", "▾ f", "    b"]
        );
        press(&mut view, &tree, "jj");
        assert_eq!(names(&mut view, &tree, 12)[2], "      c*");
        press(&mut view, &tree, "h");
        assert_eq!(names(&mut view, &tree, 12)[1], "  ▾ b*");
        press(&mut view, &tree, "h");
        assert_eq!(names(&mut view, &tree, 12), ["▾ a", "  ▸ b*", "  e", "▾ f", "    b"]);
        press(&mut view, &tree, "ll");
        assert_eq!(names(&mut view, &tree, 12)[2], "      c*", "unfolded, then entered");
        press(&mut view, &tree, "-");
        assert_eq!(names(&mut view, &tree, 12), ["▸ a*", "  e", "▸ f"]);
        press(&mut view, &tree, "G⏎");
        assert_eq!(names(&mut view, &tree, 12), ["▸ a", "  e", "▾ f*", "    b"]);
        press(&mut view, &tree, "+g");
        assert_eq!(names(&mut view, &tree, 12).len(), 7);
        assert!(!view.press(Key::Char('q'), &tree) && !view.press(Key::Interrupt, &tree));
    }

    #[test]
    fn the_cursor_stays_on_its_topic_when_others_come() {
        let mut tree = example();
        let mut view = View::new(&[]);
        names(&mut view, &tree, 12);
        press(&mut view, &tree, "jjjj");
        for topic in ["0", "a/a", "d"] {
            tree.hear(&message(topic, b"", false), Duration::ZERO);
        }
        let names = names(&mut view, &tree, 14);
        assert!(names.contains(&"  e*".to_owned()), "{names:?}");
    }

    #[test]
    fn the_screen_follows_the_cursor() {
        let topics: Vec<String> = (0..50).map(|number| format!("t{number:02}")).collect();
        let messages: Vec<(&str, &str)> = topics.iter().map(|topic| (topic.as_str(), "x")).collect();
        let tree = heard(&messages);
        let mut view = View::new(&[]);
        assert_eq!(names(&mut view, &tree, 6), ["  t00*", "  t01", "  t02", "  t03"]);
        press(&mut view, &tree, "⇟⇟");
        assert_eq!(names(&mut view, &tree, 6), ["  t03", "  t04", "  t05", "  t06*"]);
        press(&mut view, &tree, "k");
        assert_eq!(names(&mut view, &tree, 6), ["  t03", "  t04", "  t05*", "  t06"]);
        press(&mut view, &tree, "G");
        assert_eq!(names(&mut view, &tree, 6)[3], "  t49*");
        // A larger screen is filled.
        assert_eq!(names(&mut view, &tree, 12).len(), 10);
        assert_eq!(names(&mut view, &tree, 12)[9], "  t49*");
    }

    #[test]
    fn a_search_goes_to_topics_and_unfolds_them() {
        let tree = example();
        let mut view = View::new(&[]);
        press(&mut view, &tree, "-/B");
        assert_eq!(screen(&mut view, &tree, (40, 9))[8], "/b_  Enter keeps it, Esc forgets it");
        assert_eq!(names(&mut view, &tree, 9), ["▾ a", "  ▸ b*", "  e", "▸ f"]);
        press(&mut view, &tree, "⏎n");
        assert_eq!(names(&mut view, &tree, 9), ["▾ a", "  ▸ b", "  e", "▾ f", "    b*"]);
        press(&mut view, &tree, "n");
        assert_eq!(names(&mut view, &tree, 9)[1], "  ▸ b*", "it goes round");
        press(&mut view, &tree, "N");
        assert_eq!(names(&mut view, &tree, 9)[4], "    b*");
        press(&mut view, &tree, "/b/d");
        assert_eq!(names(&mut view, &tree, 9)[3], "      d*", "the whole topic counts");
        press(&mut view, &tree, "⎋n");
        assert_eq!(names(&mut view, &tree, 9)[3], "      d*", "nothing is searched for");
        let empty = heard(&[]);
        let mut view = View::new(&[]);
        press(&mut view, &empty, "/x⏎nNjkhl-+");
    }

    #[test]
    fn any_size_is_drawn() {
        let tree = heard(&[("a/b", "日本"), ("größe", "x")]);
        for width in 0..70 {
            for height in 0..8 {
                screen(&mut View::new(&["#".to_owned()]), &tree, (width, height));
            }
        }
    }
}
