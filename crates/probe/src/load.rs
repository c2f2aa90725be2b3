//! Who publishes what to whom: topics, flows and subscriptions, as plain arithmetic.
//!
//! A *flow* is the sequence of messages of one publisher on one topic; MQTT promises order within it and nowhere else.
//! There are as many flows as the larger of publishers and topics. Every flow has a *cell* in the books for each
//! receiver, numbered without gaps, so the books are one flat table.

use std::fmt::Write as _;

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
    pub(crate) fn flows(&self) -> u32 {
        self.publishers.max(self.topics)
    }

    pub(crate) fn topic_of(&self, flow: u32) -> u32 {
        flow % self.topics
    }

    pub(crate) fn publisher_of(&self, flow: u32) -> u32 {
        flow % self.publishers
    }

    /// The flow this publisher serves after that one; it serves all of its own in turn.
    pub(crate) fn flow_after(&self, flow: u32) -> u32 {
        let next = flow + self.publishers;
        if next < self.flows() { next } else { self.publisher_of(flow) }
    }

    /// How many copies of each message of this flow are delivered.
    pub(crate) fn copies(&self, flow: u32) -> u32 {
        match self.spread {
            Spread::Pairs if self.subscribers <= self.topics => 1,
            Spread::Pairs => (self.subscribers - self.topic_of(flow)).div_ceil(self.topics),
            Spread::Everybody => self.subscribers,
            Spread::OneOfGroup => 1,
        }
    }

    /// The place in the books of what this subscriber receives of this flow; none if it should receive nothing.
    pub(crate) fn cell(&self, flow: u32, subscriber: u32) -> Option<usize> {
        let rank = match self.spread {
            Spread::Everybody => subscriber,
            Spread::OneOfGroup => 0,
            Spread::Pairs if self.subscribers <= self.topics => {
                (self.topic_of(flow) % self.subscribers == subscriber).then_some(0)?
            }
            Spread::Pairs => {
                (subscriber % self.topics == self.topic_of(flow)).then_some(subscriber / self.topics)?
            }
        };
        Some(flow as usize * self.copies_max() as usize + rank as usize)
    }

    /// The cells of a flow: all its receivers.
    pub(crate) fn cells_of(&self, flow: u32) -> std::ops::Range<usize> {
        let first = flow as usize * self.copies_max() as usize;
        first..first + self.copies(flow) as usize
    }

    pub(crate) fn cells(&self) -> usize {
        self.flows() as usize * self.copies_max() as usize
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
        let mut text = format!("bench-{:08x}-{letter}", self.run);
        write!(text, "{number:07}").expect("a String takes everything");
        text
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

    fn copies_max(&self) -> u32 {
        self.copies(0)
    }

    fn prefix(&self) -> String {
        format!("bench/{:08x}/", self.run)
    }
}

/// Digits of a topic's number in its name.
pub(crate) const TOPIC_DIGITS: usize = 9;

const LAST_LEVEL: &str = "temperature";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn load(publishers: u32, subscribers: u32, topics: u32, spread: Spread) -> Load {
        Load { publishers, subscribers, topics, spread, filter: Filter::Exact, run: 0xB00 }
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
                        let cell = load.cell(flow, subscriber);
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
                    flow = load.flow_after(flow);
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
        let of = |filter| Load { filter, ..load.clone() }.filters(0);
        assert_eq!(of(Filter::LastLevel), ["bench/00000b00/000000000/+"]);
        assert_eq!(of(Filter::Run), ["bench/00000b00/#"]);
        assert_eq!(of(Filter::Shared), ["$share/bench/bench/00000b00/000000000/temperature"]);
        assert_eq!(load.bystander(3), "bench/00000b00/+/000000003/#");
    }
}
