//! Who publishes what to whom: topics, flows and subscriptions, as plain arithmetic.
//!
//! A *flow* is the sequence of messages of one publisher on one topic; MQTT promises order within it and nowhere else.
//! There are as many flows as the larger of publishers and topics. Every flow has a *cell* in the books for each
//! receiver, numbered without gaps, so the books are one flat table.

use crate::incoming::number;

/// The wiring of a run.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) publishers: u32,
    pub(crate) subscribers: u32,
    pub(crate) topics: u32,
    pub(crate) spread: Spread,
    pub(crate) filter: Filter,
    /// Makes topics and client ids of this run its own.
    pub(crate) run: u32,
    /// The broker has so many homes, and a publisher and its subscriber are on different ones.
    pub(crate) homes_apart: Option<u16>,
}

/// Who receives a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Topics are dealt out to the subscribers; more subscribers than topics share them.
    Pairs,
    /// Every subscriber gets everything.
    Everybody,
    /// One of the subscribers; order is promised to nobody.
    OneOfGroup,
}

/// How a subscriber asks for its topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// By name.
    Exact,
    /// With `+` for the last level.
    LastLevel,
    /// Everything below the run's first levels, with one `#`.
    Run,
    /// By name, in a shared subscription group.
    Shared,
}

impl Load {
    /// Without publishers there are none.
    pub(crate) fn flows(&self) -> u32 {
        if self.publishers == 0 { 0 } else { self.publishers.max(self.topics) }
    }

    pub(crate) fn topic_of(&self, flow: u32) -> u32 {
        flow % self.topics
    }

    pub(crate) fn publisher_of(&self, flow: u32) -> u32 {
        flow % self.publishers
    }

    /// The flow a publisher serves after that one; it serves all of its own in turn, the first of which has its number.
    pub(crate) fn flow_after(&self, flow: u32, publisher: u32) -> u32 {
        let next = flow + self.publishers;
        if next < self.flows() { next } else { publisher }
    }

    /// How many copies of each message of this flow are delivered; the first flow has the most.
    pub(crate) fn copies(&self, flow: u32) -> u32 {
        match self.spread {
            Spread::Pairs if self.subscribers <= self.topics => 1,
            Spread::Pairs => (self.subscribers - self.topic_of(flow)).div_ceil(self.topics),
            Spread::Everybody => self.subscribers,
            Spread::OneOfGroup => 1,
        }
    }

    /// Which of the receivers of a topic this subscriber is, from 0; none if it should not receive it.
    pub(crate) fn rank(&self, topic: u32, subscriber: u32) -> Option<u32> {
        match self.spread {
            Spread::Everybody => Some(subscriber),
            Spread::OneOfGroup => Some(0),
            Spread::Pairs if topic == subscriber => Some(0),
            Spread::Pairs if self.subscribers <= self.topics => {
                (topic % self.subscribers == subscriber).then_some(0)
            }
            Spread::Pairs => (subscriber % self.topics == topic).then_some(subscriber / self.topics),
        }
    }

    /// The cells of a flow: one for each receiver, by rank.
    pub(crate) fn cells_of(&self, flow: u32) -> std::ops::Range<usize> {
        let first = flow as usize * self.copies(0) as usize;
        first..first + self.copies(flow) as usize
    }

    pub(crate) fn cells(&self) -> usize {
        self.flows() as usize * self.copies(0) as usize
    }

    /// Whether the books can say that a message came too late.
    pub(crate) fn is_ordered(&self) -> bool {
        self.spread != Spread::OneOfGroup
    }

    /// 36 bytes, as topics in the field are.
    pub(crate) fn topic(&self, topic: u32) -> String {
        format!("{}{topic:0width$}/{LAST_LEVEL}", self.prefix(), width = TOPIC_DIGITS)
    }

    /// Where the digits of a topic's number stand in its name.
    pub(crate) fn digits_at(&self) -> usize {
        self.prefix().len()
    }

    /// The number of a topic of this run, from its name.
    pub(crate) fn topic_number(&self, name: &str) -> Option<u32> {
        let rest = name.strip_prefix(self.prefix().as_str())?;
        let (digits, rest) = rest.split_at_checked(TOPIC_DIGITS)?;
        if rest.strip_prefix('/') == Some(LAST_LEVEL) { number(digits.as_bytes()) } else { None }
    }

    /// What a subscriber subscribes to.
    pub(crate) fn filters(&self, subscriber: u32) -> Vec<String> {
        if self.filter == Filter::Run {
            return vec![format!("{}#", self.prefix())];
        }
        self.topics_of(subscriber).map(|topic| self.filter_of(topic)).collect()
    }

    /// A wildcard filter that belongs to nobody's topic but lies on the way to all of them.
    pub(crate) fn bystander(&self, number: u64) -> String {
        format!("{}+/{number:0width$}/#", self.prefix(), width = TOPIC_DIGITS)
    }

    /// At most 23 bytes, which 3.1 allows.
    pub(crate) fn client_id(&self, letter: char, number: u64) -> String {
        let step = u64::from(letter == SUBSCRIBER);
        match self.homes_apart {
            Some(homes) => self.client_id_at(letter, number, homes, (number + step) % u64::from(homes)),
            None => format!("bench-{:08x}-{letter}{number:07}", self.run),
        }
    }

    /// A client id that FNV-1a sends to this home, by the choice of its last character.
    fn client_id_at(&self, letter: char, number: u64, homes: u16, home: u64) -> String {
        let id = |last: char| format!("bench-{:08x}-{letter}{number:06}{last}", self.run);
        let leads_home = |id: &String| fnv1a(id.as_bytes()) % u64::from(homes) == home;
        ('0'..='9').chain('a'..='z').map(id).find(leads_home).unwrap_or_else(|| id('-'))
    }

    fn topics_of(&self, subscriber: u32) -> impl Iterator<Item = u32> + use<> {
        let (subscribers, topics, spread) = (self.subscribers, self.topics, self.spread);
        (0..topics).filter(move |topic| match spread {
            Spread::Everybody | Spread::OneOfGroup => true,
            Spread::Pairs if subscribers <= topics => topic % subscribers == subscriber,
            Spread::Pairs => subscriber % topics == *topic,
        })
    }

    fn filter_of(&self, topic: u32) -> String {
        let name = self.topic(topic);
        match self.filter {
            Filter::Exact | Filter::Run => name,
            Filter::LastLevel => name.replace(LAST_LEVEL, "+"),
            Filter::Shared => format!("$share/bench/{name}"),
        }
    }

    fn prefix(&self) -> String {
        format!("bench/{:08x}/", self.run)
    }
}

/// The hash by which some brokers deal clients out to their threads.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The letter of a subscriber in its client id.
const SUBSCRIBER: char = 's';

/// Digits of a topic's number in its name.
pub(crate) const TOPIC_DIGITS: usize = 9;

const LAST_LEVEL: &str = "temperature";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn load(publishers: u32, subscribers: u32, topics: u32, spread: Spread) -> Load {
        Load { publishers, subscribers, topics, spread, filter: Filter::Exact, run: 0xB00, homes_apart: None }
    }

    #[test]
    fn each_copy_has_a_cell_of_its_own_and_each_subscription_is_needed() {
        for spread in [Spread::Pairs, Spread::Everybody, Spread::OneOfGroup] {
            for (publishers, subscribers, topics) in
                [(1, 1, 1), (3, 3, 3), (2, 5, 3), (5, 2, 3), (3, 2, 5), (1, 7, 1), (7, 1, 1), (4, 6, 2)]
            {
                let load = load(publishers, subscribers, topics, spread);
                let mut cells = BTreeSet::new();
                for flow in 0..load.flows() {
                    let topic = load.topic(load.topic_of(flow));
                    for subscriber in 0..subscribers {
                        let rank = load.rank(load.topic_of(flow), subscriber);
                        let cell = rank.map(|rank| load.cells_of(flow).start + rank as usize);
                        let is_subscribed = load.filters(subscriber).contains(&topic);
                        assert_eq!(cell.is_some(), is_subscribed, "{load:?} {flow} {subscriber}");
                        cells.extend(cell);
                        assert!(cell.is_none_or(|cell| load.cells_of(flow).contains(&cell)), "{load:?}");
                    }
                }
                let copies: u32 = (0..load.flows()).map(|flow| load.copies(flow)).sum();
                assert_eq!(cells.len(), copies as usize, "{load:?}");
                assert!(cells.iter().all(|&cell| cell < load.cells()), "{load:?}");
            }
        }
    }

    #[test]
    fn each_flow_has_one_publisher_that_comes_round_to_it() {
        for (publishers, topics) in [(1, 1), (3, 7), (7, 3), (4, 4)] {
            let load = load(publishers, 1, topics, Spread::Everybody);
            let mut flows = Vec::new();
            for publisher in 0..publishers {
                let mut flow = publisher;
                loop {
                    assert_eq!(load.publisher_of(flow), publisher);
                    flows.push(flow);
                    flow = load.flow_after(flow, publisher);
                    if flow == publisher {
                        break;
                    }
                }
            }
            flows.sort_unstable();
            assert_eq!(flows, (0..load.flows()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn names_have_their_lengths_and_filters_match_them() {
        let load = load(1, 1, 1, Spread::Pairs);
        let topic = load.topic(12);
        assert_eq!(topic, "bench/00000b00/000000012/temperature");
        assert_eq!(topic.len(), 36);
        assert_eq!(&topic[load.digits_at()..][..TOPIC_DIGITS], "000000012");
        assert_eq!(load.client_id('p', 9_999_999).len(), 23);
        assert_eq!(load.topic_number(&topic), Some(12));
        for foreign in ["", "bench/00000b01/000000012/temperature", "bench/00000b00/00000001x/temperature"] {
            assert_eq!(load.topic_number(foreign), None, "{foreign}");
        }
        let of = |filter| Load { filter, ..load.clone() }.filters(0);
        assert_eq!(of(Filter::LastLevel), ["bench/00000b00/000000000/+"]);
        assert_eq!(of(Filter::Run), ["bench/00000b00/#"]);
        assert_eq!(of(Filter::Shared), ["$share/bench/bench/00000b00/000000000/temperature"]);
        assert_eq!(load.bystander(3), "bench/00000b00/+/000000003/#");
    }

    #[test]
    fn a_publisher_and_its_subscriber_are_apart_and_homes_are_alike() {
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c, "the published value");
        for homes in [2, 3, 16] {
            let load = Load { homes_apart: Some(homes), ..load(100, 100, 100, Spread::Pairs) };
            let home = |letter, number| fnv1a(load.client_id(letter, number).as_bytes()) % u64::from(homes);
            for number in 0..100 {
                assert_eq!(home('p', number), number % u64::from(homes), "{homes}");
                assert_eq!(home('s', number), (number + 1) % u64::from(homes), "{homes}");
                assert_eq!(load.client_id('p', number).len(), 23);
            }
        }
    }
}
