//! What a trial found. The fields are the JSON schema, which `docs/prove.md` describes; a change that breaks a reader
//! raises [`SCHEMA`].

use std::time::Duration;

use noctule_codec::ProtocolVersion;
use serde::Serialize;

use super::books::Books;
use super::error::ProveError;
use super::options::ProveOptions;
use super::place::Place;
use super::verdict::{
    ClassVerdict, ResumedVerdict, RetainedVerdict, SessionsVerdict, SubscriptionsVerdict, WillsVerdict,
};
use crate::incidents::{Happened, Refused};

/// Everything a trial found.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// Version of this structure.
    pub schema: u32,
    /// What the broker is called.
    pub broker: String,
    /// Its command, with placeholders.
    pub command: String,
    /// `3.1.1` or `5.0`.
    pub mqtt: &'static str,
    /// Where chance began; the same seed kills at about the same moments.
    pub seed: u64,
    /// Rounds that were asked for.
    pub rounds_asked: u32,
    /// Rounds that were run.
    pub rounds: u32,
    /// Where the broker's data lay.
    pub place: Place,
    /// How often the broker was killed.
    pub kills: Kills,
    /// How long it took to serve again.
    pub restarts: Restarts,
    /// What publishers had in flight when they came back.
    pub resumed: ResumedVerdict,
    /// What became of publications.
    pub classes: Vec<ClassVerdict>,
    /// What became of retained values.
    pub retained: RetainedVerdict,
    /// What became of sessions.
    pub sessions: SessionsVerdict,
    /// What became of the subscriptions of connected clients.
    pub subscriptions: SubscriptionsVerdict,
    /// What became of wills; information.
    pub wills: WillsVerdict,
    /// What the broker did instead of starting again after a kill, with the end of what it printed.
    pub never_returned: Option<String>,
    /// Refusals by packet and reason code; what was refused was not promised.
    pub refused: Vec<Refused>,
    /// Connections that ended although the broker was not killed, by cause.
    pub disconnects: Vec<Happened>,
    /// What the broker did against the standard.
    pub violations: Vec<Happened>,
    /// What is worth knowing and no fault.
    pub notes: Vec<Happened>,
    /// Nothing acknowledged was lost, nothing doubled at QoS 2, no session forgotten, no retained value older than it
    /// may be, and the broker came back every time.
    pub is_durable: bool,
}

/// How often a broker was killed, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kills {
    /// While the load ran.
    pub under_load: u32,
    /// After a start, before it let a client in.
    pub while_starting: u32,
    /// While clients came back and were sent what they were owed.
    pub while_returning: u32,
}

/// From the start of the process until the first client was let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restarts {
    /// How often that happened.
    pub count: u32,
    /// On average, in milliseconds.
    pub mean_ms: u64,
    /// At most, in milliseconds.
    pub max_ms: u64,
}

/// How a trial went, apart from what the books say.
#[derive(Debug, Default)]
pub(crate) struct Course {
    pub(crate) rounds: u32,
    pub(crate) kills: Kills,
    pub(crate) restarts: Vec<Duration>,
    pub(crate) never_returned: Option<String>,
}

/// Version of the JSON structure.
pub(crate) const SCHEMA: u32 = 1;

impl Proof {
    /// Judges what the books say.
    ///
    /// # Errors
    /// [`ProveError::NothingPromised`] where nothing of a kind was acknowledged: then nothing could be lost, and a
    /// broker that answers nothing would look durable.
    pub(crate) fn new(
        options: &ProveOptions,
        place: Place,
        course: &Course,
        books: &Books,
    ) -> Result<Self, ProveError> {
        let classes = books.deliveries.verdicts();
        // What the broker does not offer was not sent.
        let classes: Vec<ClassVerdict> = classes.into_iter().filter(|class| class.sent > 0).collect();
        let retained = books.retained_verdict();
        check_promises(&classes, &retained)?;
        let mut proof = Self {
            schema: SCHEMA,
            broker: options.broker.name.clone(),
            command: options.broker.words.join(" "),
            mqtt: if options.version == ProtocolVersion::V5 { "5.0" } else { "3.1.1" },
            seed: options.seed,
            rounds_asked: options.rounds,
            rounds: course.rounds,
            place,
            kills: course.kills,
            restarts: Restarts::new(&course.restarts),
            resumed: books.resumed,
            classes,
            retained,
            sessions: books.sessions,
            subscriptions: books.deliveries.subscriptions(),
            wills: books.wills.verdict(),
            never_returned: course.never_returned.clone(),
            refused: books.incidents.refused(),
            disconnects: books.incidents.disconnects(),
            violations: books.incidents.violations(),
            notes: books.incidents.notes(),
            is_durable: false,
        };
        proof.is_durable = proof.classes.iter().all(ClassVerdict::is_kept)
            && proof.retained.is_kept()
            && proof.sessions.is_kept()
            && proof.never_returned.is_none();
        Ok(proof)
    }

    /// Copies that were acknowledged and never came.
    pub fn lost(&self) -> u64 {
        self.classes.iter().map(|class| class.lost).sum()
    }

    /// Copies that came again although they were published and subscribed to at QoS 2.
    pub fn doubled_faults(&self) -> u64 {
        self.classes.iter().map(ClassVerdict::doubled_faults).sum()
    }
}

impl Kills {
    /// All of them.
    pub fn sum(&self) -> u32 {
        self.under_load + self.on_the_way_back()
    }

    /// Those after a start that followed a kill.
    pub fn on_the_way_back(&self) -> u32 {
        self.while_starting + self.while_returning
    }
}

impl Restarts {
    fn new(durations: &[Duration]) -> Self {
        let count = durations.len() as u32;
        let mean = durations.iter().sum::<Duration>() / count.max(1);
        let max = durations.iter().max().copied().unwrap_or_default();
        Self { count, mean_ms: mean.as_millis() as u64, max_ms: max.as_millis() as u64 }
    }
}

fn check_promises(classes: &[ClassVerdict], retained: &RetainedVerdict) -> Result<(), ProveError> {
    let nothing = |what: String| Err(ProveError::NothingPromised { what });
    if let Some(class) = classes.iter().find(|class| class.acknowledged == 0) {
        return nothing(format!("publication of QoS {}", class.qos));
    }
    if classes.is_empty() {
        return nothing("publication".to_owned());
    }
    if retained.acknowledged == 0 {
        return nothing("retained update".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use noctule_codec::QoS;

    use super::super::deliveries::{Class, Lane};
    use super::super::mark::Mark;
    use super::super::options::BrokerCommand;
    use super::super::verdict::Attendance;
    use super::*;

    /// Books in which one publication of QoS 2 and one retained update were acknowledged and the former has come.
    fn books() -> Books {
        let mut books = Books::default();
        let class = Class { attendance: Attendance::Offline, qos: QoS::ExactlyOnce };
        let receiver = books.deliveries.add_receiver(class);
        for lane in [Lane::Plain(QoS::ExactlyOnce), Lane::Retained(QoS::AtLeastOnce)] {
            let publisher = books.deliveries.add_publisher(lane);
            books.deliveries.sent(publisher);
            books.acknowledged(lane, (publisher, 0), 0, Duration::ZERO);
        }
        assert!(books.deliveries.arrived(receiver, Mark { publisher: 0, topic: 0, sequence: 0 }));
        books
    }

    fn proof(books: &Books, course: &Course) -> Result<Proof, ProveError> {
        let broker = BrokerCommand::parse("x {port}").expect("a command");
        let options = ProveOptions::new(broker, PathBuf::from("."), 1);
        let place = Place {
            folder: "f".to_owned(),
            file_system: "ext4".to_owned(),
            mount_point: "/".to_owned(),
            is_memory: false,
        };
        Proof::new(&options, place, course, books)
    }

    fn is_durable(books: &Books) -> bool {
        proof(books, &Course::default()).expect("something was promised").is_durable
    }

    #[test]
    fn a_kept_promise_is_durable_and_each_broken_one_is_not() {
        assert!(is_durable(&books()));

        let mut lost = books();
        lost.deliveries.sent(0);
        assert!(is_durable(&lost), "nobody promised it");
        lost.deliveries.acknowledged(0, 1, Duration::ZERO);
        assert!(!is_durable(&lost));

        let mut doubled = books();
        doubled.deliveries.arrived(0, Mark { publisher: 0, topic: 0, sequence: 0 });
        assert!(!is_durable(&doubled));

        let mut forgotten = books();
        forgotten.came_back(true);
        assert!(is_durable(&forgotten));
        forgotten.came_back(false);
        assert!(!is_durable(&forgotten));

        let mut gone = books();
        gone.retained.check(&Default::default());
        assert!(!is_durable(&gone));

        let mut wills = books();
        wills.wills.due(1);
        assert!(is_durable(&wills), "wills are information");
    }

    #[test]
    fn a_broker_that_does_not_come_back_is_not_durable() {
        let course = Course { never_returned: Some("exit status: 1".to_owned()), ..Course::default() };
        assert!(!proof(&books(), &course).expect("something was promised").is_durable);
    }

    #[test]
    fn a_broker_that_promises_nothing_proves_nothing() {
        let mut silent = Books::default();
        silent.deliveries.add_receiver(Class { attendance: Attendance::Slow, qos: QoS::AtLeastOnce });
        assert!(proof(&silent, &Course::default()).is_err(), "nothing was sent");
        silent.deliveries.add_publisher(Lane::Plain(QoS::AtLeastOnce));
        silent.deliveries.sent(0);
        let text = proof(&silent, &Course::default()).expect_err("nothing was acknowledged").to_string();
        assert!(text.contains("QoS 1"), "{text}");
        silent.deliveries.acknowledged(0, 0, Duration::ZERO);
        let text = proof(&silent, &Course::default()).expect_err("no update was acknowledged").to_string();
        assert!(text.contains("retained"), "{text}");
    }

    #[test]
    fn restarts_have_a_mean_and_a_maximum() {
        let durations = [10, 20, 60].map(Duration::from_millis);
        assert_eq!(Restarts::new(&durations), Restarts { count: 3, mean_ms: 30, max_ms: 60 });
        assert_eq!(Restarts::new(&[]), Restarts::default());
    }
}
