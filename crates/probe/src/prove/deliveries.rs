//! The books on deliveries: what was sent, what of it was acknowledged, and what came where how often.
//!
//! Publishers and receivers have numbers. A *receiver* is a subscriber, or a group of them that shares one
//! subscription; it is owed everything that is published on its lane. The books only ever grow, so what comes late
//! is still found, and the verdict follows from them alone: [`Deliveries::verdicts`].

use std::collections::HashMap;
use std::time::Duration;

use noctule_codec::QoS;

use super::mark::Mark;
use super::verdict::{Attendance, ClassVerdict, SubscriptionsVerdict};

/// What a publication is for; decides its topics and who is owed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Every subscriber of this QoS gets it.
    Plain(QoS),
    /// One member of the group of this QoS gets it.
    Shared(QoS),
    /// It replaces the retained value of its topic.
    Retained(QoS),
}

/// Who is owed what under which circumstances: one line of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Class {
    pub(crate) attendance: Attendance,
    pub(crate) qos: QoS,
}

/// Everything that was sent and everything that came.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    publishers: Vec<Account>,
    receivers: Vec<Receiver>,
    /// Copies that are acknowledged and have not come.
    missing: u64,
    /// When the broker was killed, in order.
    kills: Vec<Duration>,
}

/// What one publisher sent, by sequence.
#[derive(Debug)]
struct Account {
    lane: Lane,
    fates: Vec<Fate>,
}

/// What became of a publication, as its publisher knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nobody has promised anything: it may come or not.
    Open,
    /// PUBACK or PUBCOMP was read at this time: it must come.
    Acknowledged(Duration),
    /// The broker said that it does not take it.
    Refused,
}

/// What came to a subscriber or a group.
#[derive(Debug)]
struct Receiver {
    class: Class,
    /// By publisher and sequence: how often it came.
    arrivals: Vec<Vec<u8>>,
    /// By publisher and topic: the highest sequence that came.
    latest: HashMap<(u32, u32), u64>,
    out_of_order: u64,
}

impl Lane {
    pub(crate) fn qos(self) -> QoS {
        match self {
            Self::Plain(qos) | Self::Shared(qos) | Self::Retained(qos) => qos,
        }
    }
}

impl Class {
    /// The lane whose publications this class is owed.
    pub(crate) fn lane(self) -> Lane {
        match self.attendance {
            Attendance::Shared => Lane::Shared(self.qos),
            Attendance::Online | Attendance::Slow | Attendance::Offline => Lane::Plain(self.qos),
        }
    }
}

impl Deliveries {
    /// Opens the account of the next publisher and returns its number.
    pub(crate) fn add_publisher(&mut self, lane: Lane) -> u32 {
        self.publishers.push(Account { lane, fates: Vec::new() });
        self.publishers.len() as u32 - 1
    }

    /// Opens the book of the next receiver and returns its number.
    pub(crate) fn add_receiver(&mut self, class: Class) -> usize {
        self.receivers.push(Receiver {
            class,
            arrivals: Vec::new(),
            latest: HashMap::new(),
            out_of_order: 0,
        });
        self.receivers.len() - 1
    }

    /// The next publication of this publisher is on its way; returns its sequence.
    pub(crate) fn sent(&mut self, publisher: u32) -> u64 {
        let fates = &mut self.publishers[publisher as usize].fates;
        fates.push(Fate::Open);
        fates.len() as u64 - 1
    }

    /// PUBACK or PUBCOMP was read.
    pub(crate) fn acknowledged(&mut self, publisher: u32, sequence: u64, at: Duration) {
        let account = &mut self.publishers[publisher as usize];
        account.fates[sequence as usize] = Fate::Acknowledged(at);
        let lane = account.lane;
        let owed = self.receivers.iter().filter(|receiver| receiver.class.lane() == lane);
        self.missing += owed.filter(|receiver| receiver.count(publisher, sequence) == 0).count() as u64;
    }

    /// The broker answered that it does not take this publication.
    pub(crate) fn refused(&mut self, publisher: u32, sequence: u64) {
        self.publishers[publisher as usize].fates[sequence as usize] = Fate::Refused;
    }

    /// A publication came. Returns whether it is one that this receiver may get at all.
    pub(crate) fn arrived(&mut self, receiver: usize, mark: Mark) -> bool {
        let receiver = &mut self.receivers[receiver];
        let account = self.publishers.get(mark.publisher as usize);
        let Some(account) = account.filter(|account| account.lane == receiver.class.lane()) else {
            return false;
        };
        let Some(fate) = account.fates.get(mark.sequence as usize) else { return false };
        let is_first = receiver.take(mark);
        if is_first && matches!(fate, Fate::Acknowledged(_)) {
            self.missing -= 1;
        }
        true
    }

    /// The broker was killed, and what it had written before has been read.
    pub(crate) fn killed(&mut self, at: Duration) {
        self.kills.push(at);
    }

    /// Copies that are acknowledged and have not come.
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    /// Publications that were acknowledged.
    pub(crate) fn acknowledged_count(&self) -> u64 {
        self.publishers.iter().map(Account::acknowledged).sum()
    }

    /// Updates of retained values: how many were sent, and how many acknowledged.
    pub(crate) fn updates(&self) -> (u64, u64) {
        let accounts = self.publishers.iter().filter(|account| matches!(account.lane, Lane::Retained(_)));
        accounts.fold((0, 0), |(sent, acknowledged), account| {
            (sent + account.fates.len() as u64, acknowledged + account.acknowledged())
        })
    }

    /// What is to be said of each class, in the order in which they were opened.
    pub(crate) fn verdicts(&self) -> Vec<ClassVerdict> {
        let mut classes: Vec<Class> = Vec::new();
        for receiver in &self.receivers {
            if !classes.contains(&receiver.class) {
                classes.push(receiver.class);
            }
        }
        classes.into_iter().map(|class| self.verdict(class)).collect()
    }

    /// Which subscriptions of connected clients were served after a kill. One that got nothing of all that was
    /// acknowledged until the next kill is silent: the broker may say that the session is there, but its subscription
    /// is not. Nobody is judged by less than [`SILENCE_MIN`] publications.
    pub(crate) fn subscriptions(&self) -> SubscriptionsVerdict {
        let mut verdict = SubscriptionsVerdict::default();
        for receiver in self.receivers.iter().filter(|receiver| receiver.is_connected_under_load()) {
            for life in 1..=self.kills.len() {
                let (owed, came) = self.served(receiver, life);
                if owed >= SILENCE_MIN {
                    verdict.owed += 1;
                    match came {
                        0 => verdict.silent += 1,
                        _ => verdict.served += 1,
                    }
                }
            }
        }
        verdict
    }

    /// How many publications were acknowledged in this life of the broker (0 is before the first kill), and how many of
    /// them came.
    fn served(&self, receiver: &Receiver, life: usize) -> (u64, u64) {
        let (mut owed, mut came) = (0, 0);
        for (number, account) in self.publishers.iter().enumerate() {
            if account.lane != receiver.class.lane() {
                continue;
            }
            for (sequence, &fate) in account.fates.iter().enumerate() {
                if matches!(fate, Fate::Acknowledged(at) if self.kills_before(at) == life) {
                    owed += 1;
                    came += u64::from(receiver.count(number as u32, sequence as u64).min(1));
                }
            }
        }
        (owed, came)
    }

    fn verdict(&self, class: Class) -> ClassVerdict {
        let mut verdict = ClassVerdict::new(class.attendance, class.qos);
        for receiver in self.receivers.iter().filter(|receiver| receiver.class == class) {
            verdict.receivers += 1;
            // Members of a group are sent to side by side, so there is no order between them to break.
            if class.attendance != Attendance::Shared {
                verdict.out_of_order += receiver.out_of_order;
            }
            for (number, account) in self.publishers.iter().enumerate() {
                if account.lane == class.lane() {
                    self.judge(number as u32, account, receiver, &mut verdict);
                }
            }
        }
        verdict
    }

    /// Adds what one publisher owes one receiver.
    fn judge(&self, publisher: u32, account: &Account, receiver: &Receiver, verdict: &mut ClassVerdict) {
        for (sequence, &fate) in account.fates.iter().enumerate() {
            let count = u64::from(receiver.count(publisher, sequence as u64));
            verdict.sent += 1;
            verdict.received += count.min(1);
            verdict.doubled += count.saturating_sub(1);
            if let Fate::Acknowledged(at) = fate {
                verdict.acknowledged += 1;
                if count == 0 {
                    verdict.lose(self.age_at_kill(at));
                }
            }
        }
    }

    /// How long before the next kill this was; none if none followed.
    fn age_at_kill(&self, at: Duration) -> Option<Duration> {
        self.kills.get(self.kills_before(at)).map(|&kill| kill - at)
    }

    fn kills_before(&self, at: Duration) -> usize {
        self.kills.partition_point(|&kill| kill < at)
    }
}

impl Account {
    fn acknowledged(&self) -> u64 {
        self.fates.iter().filter(|fate| matches!(fate, Fate::Acknowledged(_))).count() as u64
    }
}

impl Receiver {
    fn is_connected_under_load(&self) -> bool {
        self.class.attendance != Attendance::Offline
    }

    fn count(&self, publisher: u32, sequence: u64) -> u8 {
        let of_publisher = self.arrivals.get(publisher as usize);
        of_publisher.and_then(|counts| counts.get(sequence as usize)).copied().unwrap_or(0)
    }

    /// Counts an arrival; returns whether it is the first of this publication.
    fn take(&mut self, mark: Mark) -> bool {
        let (publisher, sequence) = (mark.publisher as usize, mark.sequence as usize);
        if self.arrivals.len() <= publisher {
            self.arrivals.resize_with(publisher + 1, Vec::new);
        }
        let counts = &mut self.arrivals[publisher];
        if counts.len() <= sequence {
            counts.resize(sequence + 1, 0);
        }
        counts[sequence] = counts[sequence].saturating_add(1);
        let is_first = counts[sequence] == 1;
        if is_first {
            self.take_in_order(mark);
        }
        is_first
    }

    /// Only first arrivals have an order: what comes again after a crash may come late [MQTT-4.6.0-6].
    fn take_in_order(&mut self, mark: Mark) {
        let latest = self.latest.entry((mark.publisher, mark.topic)).or_insert(mark.sequence);
        if mark.sequence < *latest {
            self.out_of_order += 1;
        }
        *latest = mark.sequence.max(*latest);
    }
}

/// Fewer publications than these may be lost together by a kill soon after.
const SILENCE_MIN: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Lane = Lane::Plain(QoS::AtLeastOnce);
    const ONLINE: Class = Class { attendance: Attendance::Online, qos: QoS::AtLeastOnce };

    /// One publisher of this lane with these many publications, of which `acknowledged` are, after a second each.
    fn books(lane: Lane, classes: &[Class], sent: u64, acknowledged: &[u64]) -> Deliveries {
        let mut books = Deliveries::default();
        let publisher = books.add_publisher(lane);
        classes.iter().for_each(|&class| assert!(books.add_receiver(class) < classes.len()));
        (0..sent).for_each(|sequence| assert_eq!(books.sent(publisher), sequence));
        acknowledged
            .iter()
            .for_each(|&sequence| books.acknowledged(publisher, sequence, Duration::from_secs(sequence)));
        books
    }

    fn mark(sequence: u64) -> Mark {
        Mark { publisher: 0, topic: 0, sequence }
    }

    fn arrive(books: &mut Deliveries, receiver: usize, sequences: &[u64]) {
        sequences.iter().for_each(|&sequence| assert!(books.arrived(receiver, mark(sequence))));
    }

    fn only(books: &Deliveries) -> ClassVerdict {
        let [verdict] = books.verdicts().try_into().expect("one class");
        verdict
    }

    #[test]
    fn what_is_acknowledged_and_does_not_come_is_lost() {
        let mut books = books(PLAIN, &[ONLINE], 4, &[0, 1, 2]);
        assert_eq!(books.missing(), 3);
        arrive(&mut books, 0, &[0, 2]);
        let verdict = only(&books);
        assert_eq!((verdict.sent, verdict.acknowledged, verdict.received), (4, 3, 2));
        assert_eq!((verdict.lost, verdict.doubled, verdict.out_of_order), (1, 0, 0));
        assert_eq!((books.missing(), books.acknowledged_count()), (1, 3));
    }

    #[test]
    fn what_nobody_promised_may_come_or_not() {
        let mut books = books(PLAIN, &[ONLINE], 2, &[]);
        arrive(&mut books, 0, &[1]);
        assert_eq!((only(&books).lost, only(&books).received, books.missing()), (0, 1, 0));
    }

    #[test]
    fn what_comes_before_its_acknowledgement_is_not_missing() {
        let mut books = books(PLAIN, &[ONLINE], 1, &[]);
        arrive(&mut books, 0, &[0]);
        books.acknowledged(0, 0, Duration::ZERO);
        assert_eq!((books.missing(), only(&books).lost), (0, 0));
    }

    #[test]
    fn a_refused_publication_is_not_lost() {
        let mut books = books(PLAIN, &[ONLINE], 1, &[]);
        books.refused(0, 0);
        assert_eq!((only(&books).lost, only(&books).acknowledged), (0, 0));
    }

    #[test]
    fn what_comes_again_is_doubled_also_if_it_was_never_acknowledged() {
        let mut books = books(PLAIN, &[ONLINE], 2, &[0]);
        arrive(&mut books, 0, &[0, 1, 0, 1, 1]);
        assert_eq!((only(&books).doubled, only(&books).received, books.missing()), (3, 2, 0));
    }

    #[test]
    fn order_is_that_of_first_arrivals_on_one_topic() {
        let mut books = books(PLAIN, &[ONLINE], 6, &[]);
        arrive(&mut books, 0, &[0, 2, 0, 3]);
        assert_eq!(only(&books).out_of_order, 0, "what comes again has no order");
        arrive(&mut books, 0, &[1]);
        assert_eq!(only(&books).out_of_order, 1);
        assert!(books.arrived(0, Mark { topic: 1, ..mark(5) }) && books.arrived(0, mark(4)));
        assert_eq!(only(&books).out_of_order, 1, "each topic has an order of its own");
    }

    #[test]
    fn every_subscriber_is_owed_a_copy_and_a_group_one_in_all() {
        let mut books = books(PLAIN, &[ONLINE, ONLINE], 1, &[0]);
        arrive(&mut books, 0, &[0]);
        assert_eq!((only(&books).sent, only(&books).lost, only(&books).receivers), (2, 1, 2));

        let group = Class { attendance: Attendance::Shared, qos: QoS::ExactlyOnce };
        let mut books = self::books(Lane::Shared(QoS::ExactlyOnce), &[group], 3, &[0, 1, 2]);
        arrive(&mut books, 0, &[2, 0, 1]);
        assert_eq!(
            (only(&books).lost, only(&books).out_of_order),
            (0, 0),
            "members have no order between them"
        );
    }

    #[test]
    fn strangers_are_not_counted() {
        let other = Class { qos: QoS::ExactlyOnce, ..ONLINE };
        let mut books = books(PLAIN, &[other], 1, &[0]);
        assert!(!books.arrived(0, mark(0)), "another lane");
        assert!(!books.arrived(0, Mark { publisher: 7, ..mark(0) }), "nobody");
        let mut books = self::books(PLAIN, &[ONLINE], 1, &[0]);
        assert!(!books.arrived(0, mark(1)), "never sent");
        assert_eq!(only(&books).received, 0);
    }

    #[test]
    fn a_loss_has_the_age_it_had_at_the_next_kill() {
        let mut books = books(PLAIN, &[ONLINE], 3, &[0, 1, 2]);
        [500, 1_700, 9_000].iter().for_each(|&at| books.killed(Duration::from_millis(at)));
        arrive(&mut books, 0, &[2]);
        // Acknowledged at 0 s and 1 s, killed at 0.5 s and 1.7 s.
        assert_eq!((only(&books).lost, only(&books).lost_age_max_ms), (2, Some(700)));
    }

    #[test]
    fn retained_updates_are_counted_and_owed_to_nobody() {
        let books = books(Lane::Retained(QoS::AtLeastOnce), &[ONLINE], 5, &[0, 1]);
        assert_eq!((books.updates(), books.missing()), ((5, 2), 0));
        assert_eq!(only(&books).sent, 0);
    }

    #[test]
    fn a_subscription_that_gets_nothing_between_two_kills_is_silent() {
        let all: Vec<u64> = (0..40).collect();
        let offline = Class { attendance: Attendance::Offline, ..ONLINE };
        let mut books = books(PLAIN, &[ONLINE, offline], 40, &all);
        // Publication n was acknowledged after n seconds: 0 to 9, 10 to 24, 25 to 31, 32 to 39.
        [10, 25, 32].iter().for_each(|&at| books.killed(Duration::from_secs(at)));
        assert_eq!(books.subscriptions(), SubscriptionsVerdict { owed: 1, served: 0, silent: 1 });
        arrive(&mut books, 0, &[24]);
        assert_eq!(books.subscriptions(), SubscriptionsVerdict { owed: 1, served: 1, silent: 0 });
    }
}
