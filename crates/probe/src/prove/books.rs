//! All books of a run together: deliveries, retained values, sessions, wills, and what else happened.
//!
//! Clients write into them while they read from their sockets; only the verdicts come out. Nothing here knows a packet
//! or a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::deliveries::{Deliveries, Lane};
use super::verdict::{ResumedVerdict, RetainedVerdict, SessionsVerdict, WillsVerdict};
use crate::incidents::Incidents;

/// Everything that is kept book of.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) deliveries: Deliveries,
    pub(crate) retained: Retained,
    pub(crate) sessions: SessionsVerdict,
    pub(crate) resumed: ResumedVerdict,
    pub(crate) wills: Wills,
    pub(crate) incidents: Incidents,
    /// Rises whenever something comes or is acknowledged, so that standstill can be seen.
    pub(crate) activity: u64,
    /// CONNACKs that let a client in; rises too.
    pub(crate) welcomes: u64,
}

/// A retained topic: its publisher and its number there.
pub(crate) type RetainedTopic = (u32, u32);

/// What the retained values must at least be, and what they were.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    /// The last acknowledged update of each topic.
    least: BTreeMap<RetainedTopic, u64>,
    checked: RetainedVerdict,
}

/// Wills that are due and wills that came, by number.
#[derive(Debug, Default)]
pub(crate) struct Wills {
    due: BTreeSet<u64>,
    arrivals: BTreeMap<u64, u64>,
}

impl Books {
    /// PUBACK or PUBCOMP was read for a publication on this lane.
    pub(crate) fn acknowledged(&mut self, lane: Lane, topic: RetainedTopic, sequence: u64, at: Duration) {
        self.activity += 1;
        self.deliveries.acknowledged(topic.0, sequence, at);
        if matches!(lane, Lane::Retained(_)) {
            self.retained.acknowledged(topic, sequence);
        }
    }

    /// What is said of retained values.
    pub(crate) fn retained_verdict(&self) -> RetainedVerdict {
        let (sent, acknowledged) = self.deliveries.updates();
        RetainedVerdict { sent, acknowledged, ..self.retained.checked }
    }

    /// A client came back to a session that the broker had confirmed.
    pub(crate) fn came_back(&mut self, session_present: bool) {
        self.sessions.owed += 1;
        match session_present {
            true => self.sessions.present += 1,
            false => self.sessions.forgotten += 1,
        }
    }
}

impl Retained {
    /// An update was acknowledged. A topic has one update in flight at most, so the last is the newest.
    fn acknowledged(&mut self, topic: RetainedTopic, sequence: u64) {
        let least = self.least.entry(topic).or_insert(sequence);
        *least = sequence.max(*least);
    }

    /// What a client found that subscribed while nobody published.
    pub(crate) fn judge(&self, found: &BTreeMap<RetainedTopic, u64>) -> RetainedVerdict {
        let mut verdict = RetainedVerdict { owed: self.least.len() as u64, ..RetainedVerdict::default() };
        for (topic, least) in &self.least {
            match found.get(topic) {
                None => verdict.gone += 1,
                Some(value) if value < least => verdict.older += 1,
                Some(_) => verdict.right += 1,
            }
        }
        verdict
    }

    /// Adds what a client found to the verdict.
    pub(crate) fn check(&mut self, found: &BTreeMap<RetainedTopic, u64>) {
        let verdict = self.judge(found);
        self.checked.owed += verdict.owed;
        self.checked.right += verdict.right;
        self.checked.older += verdict.older;
        self.checked.gone += verdict.gone;
    }
}

impl Wills {
    /// The client with this will was connected at a kill.
    pub(crate) fn due(&mut self, number: u64) {
        self.due.insert(number);
    }

    /// This will was published.
    pub(crate) fn arrived(&mut self, number: u64) {
        *self.arrivals.entry(number).or_default() += 1;
    }

    /// How many are due and have not come.
    pub(crate) fn missing(&self) -> u64 {
        self.due.iter().filter(|number| !self.arrivals.contains_key(number)).count() as u64
    }

    pub(crate) fn verdict(&self) -> WillsVerdict {
        let (due, missing) = (self.due.len() as u64, self.missing());
        let repeated = self.arrivals.values().filter(|&&count| count > 1).count() as u64;
        WillsVerdict { due, published: due - missing, missing, repeated }
    }
}

#[cfg(test)]
mod tests {
    use noctule_codec::QoS;

    use super::*;

    const RETAINED: Lane = Lane::Retained(QoS::AtLeastOnce);

    #[test]
    fn a_retained_value_is_right_older_or_gone() {
        let mut books = Books::default();
        let publisher = books.deliveries.add_publisher(RETAINED);
        for (sequence, topic) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 0)] {
            books.deliveries.sent(publisher);
            books.acknowledged(RETAINED, (publisher, topic), sequence, Duration::ZERO);
        }
        // 0 has an older value, 1 the last acknowledged, 2 a later one that nobody acknowledged, 3 none.
        let found = BTreeMap::from([((publisher, 0), 0), ((publisher, 1), 1), ((publisher, 2), 6)]);
        let verdict = books.retained.judge(&found);
        assert_eq!((verdict.owed, verdict.right, verdict.older, verdict.gone), (4, 2, 1, 1));
        books.retained.check(&found);
        books.retained.check(&found);
        let verdict = books.retained_verdict();
        assert_eq!((verdict.sent, verdict.acknowledged), (5, 5));
        assert_eq!((verdict.owed, verdict.right, verdict.older, verdict.gone), (8, 4, 2, 2));
    }

    #[test]
    fn a_topic_without_an_acknowledged_update_owes_nothing() {
        let found = BTreeMap::from([((0, 0), 3)]);
        assert_eq!(Retained::default().judge(&found), RetainedVerdict::default());
    }

    #[test]
    fn a_publication_without_retain_owes_no_retained_value() {
        let (mut books, lane) = (Books::default(), Lane::Plain(QoS::AtLeastOnce));
        let publisher = books.deliveries.add_publisher(lane);
        books.deliveries.sent(publisher);
        books.acknowledged(lane, (publisher, 0), 0, Duration::ZERO);
        assert_eq!(books.retained.judge(&BTreeMap::new()).owed, 0);
    }

    #[test]
    fn sessions_are_there_or_forgotten() {
        let mut books = Books::default();
        [true, false, true].into_iter().for_each(|present| books.came_back(present));
        assert_eq!(books.sessions, SessionsVerdict { owed: 3, present: 2, forgotten: 1 });
    }

    #[test]
    fn wills_come_once_twice_or_not() {
        let mut wills = Wills::default();
        (0..3).for_each(|number| wills.due(number));
        [0, 2, 2].into_iter().for_each(|number| wills.arrived(number));
        assert_eq!(wills.verdict(), WillsVerdict { due: 3, published: 2, missing: 1, repeated: 1 });
    }
}
