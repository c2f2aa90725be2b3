//! Topic aliases, which belong to one connection and one direction [MQTT-3.3.2-7].

/// Aliases that the peer has given to topic names. Without any they take no memory.
#[derive(Debug, Default)]
pub struct AliasesIn(Option<Box<Given>>);

#[derive(Debug, Default)]
struct Given {
    topics: Vec<Option<Box<str>>>,
}

impl AliasesIn {
    /// Remembers what the alias stands for. The caller has checked the alias against the announced maximum,
    /// which also bounds the table.
    pub fn set(&mut self, alias: u16, topic: &str) {
        let place = usize::from(alias);
        let topics = &mut self.0.get_or_insert_default().topics;
        if topics.len() <= place {
            topics.resize(place + 1, None);
        }
        if topics[place].as_deref() != Some(topic) {
            topics[place] = Some(topic.into());
        }
    }

    /// The topic name that the alias stands for.
    pub fn get(&self, alias: u16) -> Option<&str> {
        self.0.as_ref()?.topics.get(usize::from(alias))?.as_deref()
    }
}

/// Aliases given to topic names towards the peer; the least recently used one is given anew. For a peer that
/// allows none they take no memory.
#[derive(Debug, Default)]
pub struct AliasesOut(Option<Box<Giving>>);

#[derive(Debug)]
struct Giving {
    /// The topic of alias `place + 1` and when it was last used.
    topics: Vec<(Box<str>, u64)>,
    alias_maximum: u16,
    uses: u64,
}

/// How a topic name travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasUse {
    /// By its name; the peer allows no alias.
    None,
    /// By its name, and the alias stands for it from now on.
    Introduce(u16),
    /// By the alias alone.
    Known(u16),
}

impl AliasesOut {
    /// A table for a peer that accepts aliases up to this one; 0 turns aliases off [MQTT-3.1.2-26, -27].
    pub fn new(alias_maximum: u16) -> Self {
        let giving = || Box::new(Giving { topics: Vec::new(), alias_maximum, uses: 0 });
        Self((alias_maximum > 0).then(giving))
    }

    /// How the next PUBLISH on this topic is to travel. It must be sent in that way, or
    /// [`forget`](Self::forget) must follow.
    pub fn assign(&mut self, topic: &str) -> AliasUse {
        self.0.as_mut().map_or(AliasUse::None, |giving| giving.assign(topic))
    }

    /// Takes back an introduction that was not sent.
    pub fn forget(&mut self, alias: u16) {
        let topics = self.0.as_mut().map(|giving| &mut giving.topics);
        if let Some(entry) = topics.and_then(|topics| topics.get_mut(usize::from(alias) - 1)) {
            *entry = (Box::default(), 0);
        }
    }
}

impl Giving {
    fn assign(&mut self, topic: &str) -> AliasUse {
        self.uses += 1;
        if let Some(place) = self.topics.iter().position(|(known, _)| **known == *topic) {
            self.topics[place].1 = self.uses;
            return AliasUse::Known(alias_at(place));
        }
        if self.topics.len() < usize::from(self.alias_maximum) {
            self.topics.push((topic.into(), self.uses));
            return AliasUse::Introduce(alias_at(self.topics.len() - 1));
        }
        let oldest =
            self.topics.iter().enumerate().min_by_key(|(_, (_, used))| *used).map(|(place, _)| place);
        let Some(oldest) = oldest else { return AliasUse::None };
        self.topics[oldest] = (topic.into(), self.uses);
        AliasUse::Introduce(alias_at(oldest))
    }
}

fn alias_at(place: usize) -> u16 {
    u16::try_from(place + 1).expect("the table is bounded by a Topic Alias Maximum")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mqtt_3_1_2_27_no_alias_for_a_peer_that_allows_none() {
        let mut aliases = AliasesOut::new(0);
        assert_eq!(aliases.assign("a"), AliasUse::None);
        assert_eq!(aliases.assign("a"), AliasUse::None);
    }

    #[test]
    fn mqtt_3_1_2_26_aliases_stay_within_the_maximum_and_the_oldest_is_given_anew() {
        let mut aliases = AliasesOut::new(2);
        assert_eq!(aliases.assign("a"), AliasUse::Introduce(1));
        assert_eq!(aliases.assign("b"), AliasUse::Introduce(2));
        assert_eq!(aliases.assign("a"), AliasUse::Known(1));
        assert_eq!(aliases.assign("c"), AliasUse::Introduce(2));
        assert_eq!(aliases.assign("b"), AliasUse::Introduce(1));
        assert_eq!(aliases.assign("a"), AliasUse::Introduce(2));
    }

    #[test]
    fn an_introduction_that_was_not_sent_is_made_again() {
        let mut aliases = AliasesOut::new(1);
        assert_eq!(aliases.assign("a"), AliasUse::Introduce(1));
        aliases.forget(1);
        assert_eq!(aliases.assign("a"), AliasUse::Introduce(1));
    }

    #[test]
    fn mqtt_3_3_2_12_every_announced_alias_is_accepted() {
        let mut aliases = AliasesIn::default();
        assert_eq!(aliases.get(3), None);
        aliases.set(3, "a/b");
        aliases.set(1, "c");
        aliases.set(3, "d");
        assert_eq!((aliases.get(1), aliases.get(2), aliases.get(3)), (Some("c"), None, Some("d")));
    }
}
