//! The command line of `cargo xtask bench`.

use anyhow::{Context, Result, bail, ensure};

use super::PARTS;

/// What to measure and how long.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// Small numbers everywhere: shows that everything works, measures little.
    pub(super) is_quick: bool,
    /// Names of parts and cells; none for all.
    only: Vec<String>,
    /// How long a cell runs in a round, after a second of warming up.
    pub(super) seconds: f64,
    /// How often each broker is measured.
    pub(super) rounds: usize,
    /// Where the figures go as JSON.
    pub(super) json: Option<String>,
}

impl Options {
    /// Reads `[--quick] [--only NAME[,NAME]] [--seconds N] [--rounds N] [--json FILE]` in any order.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let is_quick = words.contains(&"--quick");
        let (seconds, rounds) = if is_quick { (1.0, 1) } else { (3.0, 5) };
        let mut options = Self { is_quick, only: Vec::new(), seconds, rounds, json: None };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word {
                "--quick" => {}
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--seconds" => options.seconds = value()?.parse().context("--seconds is a number")?,
                "--rounds" => options.rounds = value()?.parse().context("--rounds is a number")?,
                "--json" => options.json = Some((*value()?).to_owned()),
                _ => bail!("bench: unexpected argument {word}; cargo xtask help shows the usage"),
            }
        }
        options.check()?;
        Ok(options)
    }

    /// Whether a part is to be measured, or some of its cells.
    pub(super) fn wants(&self, part: &str, cells: &[&str]) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == part || cells.contains(&name.as_str()))
    }

    /// Whether a cell of a part is to be measured.
    pub(super) fn wants_cell(&self, part: &str, cell: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == part || name == cell)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.seconds > 0.0 && self.rounds > 0, "--seconds and --rounds are more than 0");
        let names: Vec<&str> = PARTS.iter().flat_map(|part| [&[part.name], part.cells].concat()).collect();
        for name in &self.only {
            ensure!(
                names.contains(&name.as_str()),
                "--only {name}: nothing is called so; there are: {}",
                names.join(", ")
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_in_any_order_and_defaults_that_follow_quick() {
        let options = Options::parse(&["--rounds", "2", "--only", "idle,p2p-qos1", "--quick"]).unwrap();
        assert_eq!((options.is_quick, options.rounds, options.seconds), (true, 2, 1.0));
        assert!(options.wants("idle", &[]) && !options.wants("burst", &[]));
        assert!(options.wants("routing", &["p2p-qos0", "p2p-qos1"]), "one of its cells is wanted");
        assert!(options.wants_cell("routing", "p2p-qos1") && !options.wants_cell("routing", "p2p-qos0"));
        let all = Options::parse(&["--json", "x.json"]).unwrap();
        assert_eq!((all.rounds, all.seconds, all.json.as_deref()), (5, 3.0, Some("x.json")));
        assert!(all.wants("burst", &[]) && all.wants_cell("routing", "p2p-qos0"));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for words in [
            &["--seconds"][..],
            &["--seconds", "x"],
            &["--seconds", "0"],
            &["--rounds", "0"],
            &["--only", "nothing"],
            &["routing"],
        ] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
