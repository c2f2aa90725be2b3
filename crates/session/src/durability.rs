//! What an acknowledgement promises, for everything and by topic.

use noctule_topic::TopicFilter;
use std::fmt;
use std::str::FromStr;

/// What an acknowledgement promises. A higher level promises more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// The message is in memory; a restart loses everything.
    Memory,
    /// What was acknowledged survives the end of the broker: the kernel has it, and writes it in its own time.
    Os,
    /// What was acknowledged survives a power cut: it is on the disk.
    Disk,
}

/// What is promised of publications on some topics, written `FILTER=LEVEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurabilityRule {
    /// Which topics.
    pub filter: TopicFilter,
    /// What is promised.
    pub level: Durability,
}

impl Durability {
    /// All levels by name.
    pub const NAMES: [(&'static str, Self); 3] =
        [("disk", Self::Disk), ("os", Self::Os), ("memory", Self::Memory)];

    /// How it is written.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, level)| *level == self).map_or("", |(name, _)| name)
    }
}

impl DurabilityRule {
    /// Whether it is about this topic.
    pub fn is_about(&self, topic: &str) -> bool {
        self.filter.matches(topic)
    }
}

impl fmt::Display for DurabilityRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.filter.as_str(), self.level.name())
    }
}

impl FromStr for DurabilityRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (filter, level) = text.rsplit_once('=').ok_or("a rule is written FILTER=LEVEL")?;
        let filter = TopicFilter::parse(filter).map_err(|error| error.to_string())?;
        let level = Durability::NAMES.iter().find(|(name, _)| *name == level);
        let (_, level) = level.ok_or("the level is \"disk\", \"os\" or \"memory\"")?;
        Ok(Self { filter, level: *level })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        for text in ["#=memory", "a/+/b=os", "x=y/#=disk"] {
            assert_eq!(text.parse::<DurabilityRule>().map(|rule| rule.to_string()), Ok(text.to_owned()));
        }
        for text in ["a", "a=", "a=tape", "a/#/b=disk", "=disk"] {
            assert!(text.parse::<DurabilityRule>().is_err(), "{text}");
        }
    }
}
