//! A table of figures: Markdown for people, JSON for programs.

use std::fmt::{self, Display, Formatter};

use anyhow::Result;
use serde_json::{Map, Value, json};

/// One table with the command that makes it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: &'static str,
    /// How it was measured, for the reader of the figures.
    pub(super) how: String,
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// What deserves a sentence: rounds that were not clean, figures that are missing.
    pub(super) notes: Vec<String>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// Words.
    Text(String),
    /// A number and how many digits after the point are meant.
    Number(f64, usize),
    /// A multiple of another figure of the same run.
    Times(f64),
    /// Whether a goal is met.
    Met(bool),
    /// Nothing applies here.
    Nothing,
    /// It could not be measured, and why.
    NotMeasured(String),
}

impl Table {
    /// A table without rows.
    ///
    /// # Panics
    /// If two columns have the same name.
    pub(super) fn new(title: &'static str, how: impl Into<String>, columns: &[&'static str]) -> Self {
        let distinct = columns.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(distinct, columns.len(), "{title}: in JSON each column needs a name of its own");
        Self { title, how: how.into(), columns: columns.to_vec(), rows: Vec::new(), notes: Vec::new() }
    }

    /// A table that could not be made.
    pub(super) fn not_measured(title: &'static str, error: &anyhow::Error) -> Self {
        Self { notes: vec![format!("not measured: {error:#}")], ..Self::new(title, "", &[]) }
    }

    /// Adds a row, the cells that do not apply left empty.
    pub(super) fn push(&mut self, name: &str, cells: Vec<Cell>) {
        let mut row = vec![Cell::text(name)];
        row.extend(cells);
        row.resize(self.columns.len(), Cell::Nothing);
        self.rows.push(row);
    }

    /// Adds a row; one that could not be measured says why in its second column.
    pub(super) fn push_or_tell(&mut self, name: &str, cells: Result<Vec<Cell>>) {
        self.push(name, cells.unwrap_or_else(|error| vec![Cell::NotMeasured(format!("{error:#}"))]));
    }

    pub(super) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let fields =
                self.columns.iter().zip(row).map(|(column, cell)| ((*column).to_owned(), cell.json()));
            Value::Object(fields.collect::<Map<_, _>>())
        });
        json!({ "title": self.title, "how": self.how, "rows": rows.collect::<Vec<_>>(), "notes": self.notes })
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n", self.title)?;
        if !self.how.is_empty() {
            writeln!(f, "{}\n", self.how)?;
        }
        if !self.columns.is_empty() {
            writeln!(f, "| {} |", self.columns.join(" | "))?;
            writeln!(f, "|{}", "---|".repeat(self.columns.len()))?;
        }
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(Cell::to_string).collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number with so many digits after the point, or why there is none.
    pub(super) fn number(value: Result<f64>, digits: usize) -> Self {
        value
            .map_or_else(|error| Self::NotMeasured(format!("{error:#}")), |value| Self::Number(value, digits))
    }

    /// A multiple, or why there is none.
    pub(super) fn times(value: Result<f64>) -> Self {
        value.map_or_else(|error| Self::NotMeasured(format!("{error:#}")), Self::Times)
    }

    /// Whether this figure is at most so much; nothing where there is no figure.
    pub(super) fn at_most(&self, goal: f64) -> Self {
        match self {
            Self::Number(value, _) | Self::Times(value) => Self::Met(*value <= goal),
            _ => Self::Nothing,
        }
    }

    /// Whether this figure is at least so much; nothing where there is no figure.
    pub(super) fn at_least(&self, goal: f64) -> Self {
        match self {
            Self::Number(value, _) | Self::Times(value) => Self::Met(*value >= goal),
            _ => Self::Nothing,
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(value, _) | Self::Times(value) => json!(value),
            Self::Met(is_met) => json!(is_met),
            Self::Nothing => Value::Null,
            Self::NotMeasured(why) => json!({ "not_measured": why }),
        }
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(value, digits) => f.write_str(&grouped(*value, *digits)),
            Self::Times(value) => write!(f, "× {value:.2}"),
            Self::Met(true) => f.write_str("met"),
            Self::Met(false) => f.write_str("**missed**"),
            Self::Nothing => Ok(()),
            Self::NotMeasured(why) => write!(f, "not measured: {}", why.replace(['|', '\n'], " ")),
        }
    }
}

/// A number with commas between thousands.
fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut out = sign.to_owned();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_between_thousands() {
        for (value, digits, text) in
            [(0.0, 0, "0"), (999.0, 0, "999"), (1234567.891, 2, "1,234,567.89"), (-1000.0, 0, "-1,000")]
        {
            assert_eq!(grouped(value, digits), text);
        }
    }

    #[test]
    fn a_row_that_failed_says_why_and_stays_a_row() {
        let mut table = Table::new("title", "how", &["cell", "a", "b"]);
        let times = Cell::times(Ok(1.5));
        let met = times.at_most(1.2);
        table.push("good", vec![times, met]);
        table.push_or_tell("bad", Err(anyhow::anyhow!("the broker|ended")));
        let text = table.to_string();
        assert!(text.contains("| good | × 1.50 | **missed** |"), "{text}");
        assert!(text.contains("| bad | not measured: the broker ended |  |"), "{text}");
        assert_eq!(Cell::number(Err(anyhow::anyhow!("gone")), 1).at_most(1.0), Cell::Nothing);
        let json = table.json();
        assert_eq!(json["rows"][0]["a"], 1.5);
        assert_eq!(json["rows"][1]["a"]["not_measured"], "the broker|ended");
    }
}
