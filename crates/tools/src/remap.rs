//! `--map FROM=TO`: other beginnings for topics.

use crate::flags::{Wrong, name};

/// Beginnings of topics, and what stands there instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remap {
    pairs: Vec<(String, String)>,
}

impl Remap {
    /// Takes `FROM=TO`. A slash at their ends means nothing; levels are replaced whole.
    pub(crate) fn add(&mut self, word: &[u8]) -> Result<(), Wrong> {
        let text = String::from_utf8_lossy(word);
        let (from, to) = text
            .split_once('=')
            .ok_or_else(|| Wrong(format!("Invalid --map argument '{text}', FROM=TO is wanted.")))?;
        let level = |part: &str| name("--map", "map", part.strip_suffix('/').unwrap_or(part).as_bytes());
        let pair = (level(from)?, level(to)?);
        self.pairs.push(pair);
        Ok(())
    }

    /// The topic with another beginning, by the first pair whose levels it begins with.
    pub(crate) fn apply(&self, topic: String) -> String {
        let mapped = self.pairs.iter().find_map(|(from, to)| Some(join(to, rest(from, &topic)?)));
        mapped.unwrap_or(topic)
    }
}

/// What follows these levels, if the topic begins with them. No levels are in front of everything.
fn rest<'a>(from: &str, topic: &'a str) -> Option<&'a str> {
    if from.is_empty() {
        return Some(topic);
    }
    match topic.strip_prefix(from)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

fn join(to: &str, rest: &str) -> String {
    match (to, rest) {
        ("", rest) => rest.to_owned(),
        (to, "") => to.to_owned(),
        (to, rest) => format!("{to}/{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(pairs: &[&str], topic: &str) -> String {
        let mut remap = Remap::default();
        pairs.iter().for_each(|pair| remap.add(pair.as_bytes()).expect("a pair"));
        remap.apply(topic.to_owned())
    }

    #[test]
    fn beginnings_are_whole_levels_and_the_first_pair_counts() {
        let cases: [(&[&str], &str, &str); 11] = [
            (&[], "a/b", "a/b"),
            (&["a=x"], "a/b", "x/b"),
            (&["a=x"], "a", "x"),
            (&["a=x"], "ab/c", "ab/c"),
            (&["a/=x/y/"], "a/b", "x/y/b"),
            (&["a/b=x"], "a/b/c", "x/c"),
            (&["=test"], "a/b", "test/a/b"),
            (&["a="], "a/b", "b"),
            (&["a=x", "a/b=y"], "a/b/c", "x/b/c"),
            (&["a/b=y", "a=x"], "a/b/c", "y/c"),
            (&["a=b", "b=c"], "a/d", "b/d"),
        ];
        for (pairs, topic, wanted) in cases {
            assert_eq!(mapped(pairs, topic), wanted, "{pairs:?} {topic}");
        }
    }

    #[test]
    fn what_cannot_be_a_topic_is_refused() {
        for word in ["a", "a=b/#", "+=b"] {
            assert!(Remap::default().add(word.as_bytes()).is_err(), "{word}");
        }
    }
}
