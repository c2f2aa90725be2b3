//! What a user sees of the figures: their order, the filter, and the picture.

use super::model::{Count, Counts, Line, SortKey};
use super::report::{COLUMNS, in_column, row, width};
use crate::picture::{parts, put};
use crate::preview::plain;
use crate::progress::counted;
use crate::screen::Key;
use crate::search::Search;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Modifier, Style};
use std::time::Duration;

/// The state of the screen.
#[derive(Debug)]
pub(super) struct View {
    /// What is subscribed, for the headline.
    filters: String,
    /// What is to be known of the connection.
    told: String,
    sort: SortKey,
    is_reversed: bool,
    is_paused: bool,
    search: Search,
    /// What is shown: the figures at the end of an interval, in order, those alone that are searched for.
    lines: Vec<Line>,
    sum: Count,
    left_out: u64,
    /// The first line on the screen.
    top: usize,
    /// Lines that the screen has, since it was drawn last.
    height: usize,
}

impl View {
    pub(super) fn new(filters: &[String], sort: SortKey) -> Self {
        Self {
            filters: filters.join(" "),
            told: String::new(),
            sort,
            is_reversed: false,
            is_paused: false,
            search: Search::default(),
            lines: Vec::new(),
            sum: Count::default(),
            left_out: 0,
            top: 0,
            height: 1,
        }
    }

    /// Something about the connection.
    pub(super) fn tell(&mut self, what: &str) {
        what.clone_into(&mut self.told);
    }

    /// An interval has ended. A pause holds the figures, not the counting.
    pub(super) fn refresh(&mut self, counts: &Counts) {
        if self.is_paused {
            return;
        }
        (self.sum, self.left_out) = (*counts.sum(), counts.left_out());
        self.lines = counts.lines(self.sort);
        self.lines.retain(|line| self.search.finds(&line.topic));
        self.order();
    }

    /// A key was pressed. Returns whether it goes on.
    pub(super) fn press(&mut self, key: Key, counts: &Counts) -> bool {
        if self.search.is_typed() {
            if key == Key::Interrupt {
                return false;
            }
            self.search.press(key);
            self.refresh(counts);
            return true;
        }
        match key {
            Key::Interrupt | Key::Char('q') => return false,
            Key::Up | Key::Char('k') => self.top = self.top.saturating_sub(1),
            Key::Down | Key::Char('j') => self.top += 1,
            Key::PageUp => self.top = self.top.saturating_sub(self.height),
            Key::PageDown => self.top += self.height,
            Key::Home | Key::Char('g') => self.top = 0,
            Key::End | Key::Char('G') => self.top = self.lines.len(),
            Key::Char('r') => self.is_reversed = !self.is_reversed,
            Key::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                self.refresh(counts);
            }
            Key::Char('/') => self.search.begin(),
            Key::Escape => {
                self.search.clear();
                self.refresh(counts);
            }
            Key::Char(letter) => self.choose(letter),
            _ => {}
        }
        self.order();
        true
    }

    /// Draws the table into the area.
    pub(super) fn draw(&mut self, now: Duration, area: Rect, buffer: &mut Buffer) {
        if area.height == 0 || area.width == 0 {
            return;
        }
        let [head, body, foot] = parts(area);
        put(buffer, head, &self.headline(), Style::new().add_modifier(Modifier::BOLD));
        put(buffer, foot, &self.footline(), Style::new().add_modifier(Modifier::DIM));
        let titles = Rect { height: u16::from(body.height > 1), ..body };
        let columns = self.columns(area.width.into());
        put(buffer, titles, &self.titles(&columns), Style::new().add_modifier(Modifier::UNDERLINED));
        self.height = usize::from(body.height - titles.height).max(1);
        self.top = self.top.min(self.lines.len().saturating_sub(self.height));
        for (y, line) in (titles.bottom()..body.bottom()).zip(self.lines.iter().skip(self.top)) {
            let figures = row(&line.count, now, &columns);
            let text = format!("{figures}  {}", plain(&line.topic, TOPIC_CHARACTERS_MAX));
            put(buffer, Rect { y, height: 1, ..body }, &text, Style::new());
        }
    }

    fn headline(&self) -> String {
        let (rate, bytes) = (self.sum.message_rate, self.sum.byte_rate);
        let messages = counted(self.sum.messages, "message");
        let paused = if self.is_paused { "  paused" } else { "" };
        let left_out = match self.left_out {
            0 => String::new(),
            count => format!(", {count} left out"),
        };
        format!(
            "{}  {rate:.1} msg/s, {bytes:.1} bytes/s, {messages}{left_out}{paused}  {}",
            self.filters, self.told
        )
    }

    /// The columns that leave room for topics. On a narrow screen the later ones give way, not that which lines are
    /// ordered by.
    fn columns(&self, screen: usize) -> Vec<SortKey> {
        let mut columns = COLUMNS.to_vec();
        for column in COLUMNS.into_iter().rev().filter(|column| *column != self.sort) {
            let used: usize = columns.iter().map(|column| width(*column) + 1).sum();
            if used + 1 + TOPIC_WIDTH_MIN > screen {
                columns.retain(|kept| *kept != column);
            }
        }
        columns
    }

    /// The headings; the one that lines are ordered by has a mark.
    fn titles(&self, columns: &[SortKey]) -> String {
        let title = |key: SortKey| {
            let heading = SortKey::ALL.iter().find(|row| row.0 == key).map_or("", |row| row.3);
            let mark = if self.is_reversed { "^" } else { "v" };
            if key == self.sort { format!("{mark}{heading}") } else { heading.to_owned() }
        };
        let titles: Vec<String> = columns.iter().map(|column| in_column(*column, &title(*column))).collect();
        format!("{}  {}", titles.join(" "), title(SortKey::Topic))
    }

    fn footline(&self) -> String {
        match self.search.line() {
            Some(line) => line,
            None => "q quit  m b t l n sort  r reverse  p pause  / filter".to_owned(),
        }
    }

    fn choose(&mut self, letter: char) {
        if let Some((key, ..)) = SortKey::ALL.iter().find(|row| row.2 == letter) {
            self.sort = *key;
        }
    }

    fn order(&mut self) {
        self.lines.sort_by(|a, b| {
            let order = self.sort.compare(a, b);
            if self.is_reversed { order.reverse() } else { order }
        });
    }
}

/// Figures leave at least so many columns to topics.
const TOPIC_WIDTH_MIN: usize = 18;
/// More than any screen shows.
const TOPIC_CHARACTERS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::super::model::tests::counted;
    use super::*;
    use crate::testing::{lines, message};

    fn screen(view: &mut View, (width, height): (u16, u16)) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        view.draw(Duration::from_secs(2), area, &mut buffer);
        lines(&buffer)
    }

    /// The topics on the screen.
    fn topics(view: &mut View) -> Vec<String> {
        let lines = screen(view, (80, 6)).split_off(2);
        let topics =
            lines.iter().take(3).filter_map(|line| line.split_whitespace().nth(5).map(str::to_owned));
        topics.collect()
    }

    fn press(view: &mut View, counts: &Counts, keys: &str) {
        for key in keys.chars() {
            let key = match key {
                '⏎' => Key::Enter,
                '⎋' => Key::Escape,
                other => Key::Char(other),
            };
            assert!(view.press(key, counts));
        }
    }

    fn view(counts: &Counts) -> View {
        let mut view = View::new(&["#".to_owned()], SortKey::Rate);
        view.refresh(counts);
        view
    }

    #[test]
    fn a_table_with_the_sum_above_and_the_keys_below() {
        let counts = counted(&[("a/b", 10, 4), ("c", 100, 1)]);
        assert_eq!(
            screen(&mut view(&counts), (60, 6)),
            [
                "#  2.5 msg/s, 70.0 bytes/s, 5 messages",
                "   vMSG/S     BYTES/S     TOTAL    LAST  TOPIC",
                "      2.0        20.0         4     2 s  a/b",
                "      0.5        50.0         1     1 s  c",
                "",
                "q quit  m b t l n sort  r reverse  p pause  / filter",
            ]
            .map(str::to_owned)
        );
    }

    /// A narrow screen shows topics, and the figure that they are ordered by.
    #[test]
    fn columns_give_way_to_topics() {
        let counts = counted(&[("line1/temperature", 10, 4)]);
        let mut view = view(&counts);
        let row = |view: &mut View, width| screen(view, (width, 4)).swap_remove(2);
        assert_eq!(row(&mut view, 60), "      2.0        20.0         4     2 s  line1/temperature");
        assert_eq!(row(&mut view, 59), "      2.0        20.0         4     2 s  line1/temperature");
        assert_eq!(row(&mut view, 58), "      2.0        20.0         4  line1/temperature");
        assert_eq!(row(&mut view, 45), "      2.0        20.0  line1/temperature");
        assert_eq!(row(&mut view, 30), "      2.0  line1/temperature");
        assert_eq!(row(&mut view, 12), "      2.0  l");
        press(&mut view, &counts, "l");
        assert_eq!(row(&mut view, 30), "    2 s  line1/temperature");
        assert_eq!(screen(&mut view, (30, 4))[1], "  vLAST  TOPIC");
        press(&mut view, &counts, "n");
        assert_eq!(row(&mut view, 12), "  line1/temp");
    }

    #[test]
    fn keys_order_reverse_and_scroll() {
        let counts = counted(&[("a", 1, 5), ("b", 50, 1), ("c", 2, 2), ("d", 0, 4)]);
        let mut view = view(&counts);
        assert_eq!(topics(&mut view), ["a", "d", "c"]);
        for (keys, wanted) in [
            ("b", ["b", "a", "c"]),
            ("n", ["a", "b", "c"]),
            ("r", ["d", "c", "b"]),
            ("j", ["c", "b", "a"]),
            ("jjj", ["c", "b", "a"]),
            ("g", ["d", "c", "b"]),
            ("rl", ["d", "c", "b"]),
            ("m", ["a", "d", "c"]),
        ] {
            press(&mut view, &counts, keys);
            assert_eq!(topics(&mut view), wanted, "{keys}");
        }
        assert!(!view.press(Key::Char('q'), &counts) && !view.press(Key::Interrupt, &counts));
    }

    #[test]
    fn a_filter_leaves_what_has_it() {
        let counts = counted(&[("line1/temp", 1, 1), ("line2/temp", 1, 1), ("line2/state", 1, 1)]);
        let mut view = view(&counts);
        press(&mut view, &counts, "/TEMP");
        assert_eq!(topics(&mut view), ["line1/temp", "line2/temp"]);
        press(&mut view, &counts, "⏎n");
        assert_eq!(screen(&mut view, (80, 6))[5], "/temp  Esc forgets it");
        press(&mut view, &counts, "⎋");
        assert_eq!(topics(&mut view).len(), 3);
    }

    #[test]
    fn a_pause_holds_the_figures() {
        let mut counts = counted(&[("a", 1, 1)]);
        let mut view = view(&counts);
        press(&mut view, &counts, "p");
        counts.hear(&message("b", b"", false), Duration::ZERO);
        counts.end_interval(Duration::from_secs(3));
        view.refresh(&counts);
        assert_eq!(topics(&mut view), ["a"]);
        assert!(screen(&mut view, (80, 6))[0].ends_with("paused"));
        press(&mut view, &counts, "p");
        assert_eq!(topics(&mut view), ["b", "a"]);
    }

    #[test]
    fn any_size_is_drawn() {
        let counts = counted(&[("größe/日本", 1, 1), ("b", 1, 1)]);
        for width in 0..60 {
            for height in 0..8 {
                screen(&mut view(&counts), (width, height));
            }
        }
    }
}
