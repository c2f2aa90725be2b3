//! `cargo xtask worlds`: more of the simulated worlds that the tests play, in which networks break, brokers crash and
//! disks fail.

use anyhow::{Context, Result, bail};

use crate::project::{self, Project};

/// Which worlds to play.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// How many seeds.
    seeds: u64,
    /// The first of them. The test run plays those from 0 on.
    from: u64,
}

impl Options {
    /// Reads `[--seeds N] [--from N]` in any order.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { seeds: SEEDS_DEFAULT, from: FROM_DEFAULT };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let field = match word {
                "--seeds" => &mut options.seeds,
                "--from" => &mut options.from,
                _ => {
                    bail!(
                        "worlds: unexpected argument {word}; usage: cargo xtask worlds [--seeds N] [--from N]"
                    )
                }
            };
            let number = words.next().with_context(|| format!("{word} needs a number"))?;
            *field = number.parse().with_context(|| format!("{word}: not a number: {number}"))?;
        }
        Ok(options)
    }
}

/// Plays them some hundred at a time, and stops where promises were broken: the test says which, and how to see it
/// again.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    let end = options.from.saturating_add(options.seeds);
    let mut from = options.from;
    while from < end {
        let to = end.min(from + SEEDS_AT_ONCE);
        let mut command = project.cargo(["test", "--quiet", "--package", "noctule-testkit", "--test", "it"]);
        command.arg(TESTS).env_remove("NOCTULE_SEED").env("NOCTULE_SEEDS", format!("{from}..{to}"));
        project::run(&mut command)?;
        from = to;
        println!("{} of {} seeds, every promise was kept", from - options.from, options.seeds);
    }
    Ok(())
}

/// The tests whose names begin like this play a world of each kind for each seed.
const TESTS: &str = "every_promise";
const SEEDS_DEFAULT: u64 = 10_000;
/// What the test run does not play.
const FROM_DEFAULT: u64 = 1_000;
const SEEDS_AT_ONCE: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_the_first_one_in_any_order() {
        let expected = Options { seeds: 5, from: 77 };
        assert_eq!(Options::parse(&["--seeds", "5", "--from", "77"]).unwrap(), expected);
        assert_eq!(Options::parse(&["--from", "77", "--seeds", "5"]).unwrap(), expected);
        assert_eq!(Options::parse(&[]).unwrap(), Options { seeds: SEEDS_DEFAULT, from: FROM_DEFAULT });
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for words in [&["--seeds"][..], &["--seeds", "many"], &["7"], &["--to", "7"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
