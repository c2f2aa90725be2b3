//! The rounds of a trial: load, kill, back again, and who is connected when.
//!
//! A round: those who are away under load leave; the load runs; the broker is killed; it is started again, perhaps
//! killed once more on its way back; subscribers return, a fresh client reads the retained values, then publishers
//! return and finish what was in flight; the round ends when nothing that was promised is missing, or nothing comes any
//! more.

mod comeback;
mod wait;

use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use self::wait::Waited;
use super::books::Books;
use super::broker::Broker;
use super::cast::cast;
use super::deliveries::Lane;
use super::dice::Dice;
use super::error::ProveError;
use super::network::Network;
use super::options::ProveOptions;
use super::peer::{Part, Peer};
use super::place::Workplace;
use super::proof::{Course, Kills, Proof};
use super::verdict::Attendance;
use crate::driver::nanoseconds;
use crate::pace::Schedule;
use crate::progress::Progress;
use crate::scenario::run_number;

/// How somebody follows a trial, and ends it early.
pub struct Watch<'a> {
    /// Gets a line for each round. What it does not take is lost.
    pub lines: &'a mut dyn Write,
    /// Once it is true the trial ends, with the broker killed and the folder removed.
    pub interrupted: &'a AtomicBool,
}

/// Runs a trial and says what it found. Blocks until it is over, and shows a progress bar on standard error if that is
/// a terminal.
///
/// # Errors
/// See [`ProveError`]. What the broker lost or doubled is no error but in the proof, and so is a broker that does not
/// start again after a kill.
pub fn prove<'a>(options: &'a ProveOptions, watch: Watch<'a>) -> Result<Proof, ProveError> {
    options.check()?;
    let mut trial = Trial::new(options, watch)?;
    trial.open()?;
    for round in 1..=options.rounds {
        trial.round(round)?;
        if trial.course.never_returned.is_some() {
            break;
        }
    }
    trial.close()
}

struct Trial<'a> {
    options: &'a ProveOptions,
    watch: Watch<'a>,
    progress: Progress,
    dice: Dice,
    broker: Broker,
    network: Network,
    course: Course,
    /// The broker serves shared subscriptions.
    has_groups: bool,
    /// Copies that were missing when they were last waited for in vain.
    written_off: u64,
    /// How long the broker took to start the last time.
    start_time: Duration,
    /// How long its clients took from then on until all was as before.
    resume_time: Duration,
    /// When something last came or was acknowledged.
    moved_at: Duration,
}

impl<'a> Trial<'a> {
    fn new(options: &'a ProveOptions, watch: Watch<'a>) -> Result<Self, ProveError> {
        let run = run_number();
        let workplace = Workplace::make(&options.data_dir, run, options.keep)?;
        let mut books = Books::default();
        let (peers, topics) = cast(options.version, run, &mut books);
        Ok(Self {
            options,
            watch,
            progress: Progress::new(),
            dice: Dice::new(options.seed),
            broker: Broker::new(options.broker.clone(), workplace, options.port),
            network: Network::new(peers, topics, books)?,
            course: Course::default(),
            has_groups: true,
            written_off: 0,
            start_time: FIRST_TIME,
            resume_time: FIRST_TIME,
            moved_at: Duration::ZERO,
        })
    }

    /// Starts the broker for the first time and introduces everybody to it.
    fn open(&mut self) -> Result<(), ProveError> {
        self.progress.begin("start", u64::from(self.options.rounds));
        self.want(|part| matches!(part, Part::Subscriber(_) | Part::Witness(..)));
        self.start()?;
        let waited = self.await_welcome(0, None)?;
        if waited != Waited::Reached {
            return Err(ProveError::DidNotStart { why: self.failure(waited), log: self.broker.log_tail() });
        }
        self.await_all_ready()?;
        self.leave_out_groups_if_refused()?;
        self.want(|part| matches!(part, Part::Publisher(_)));
        self.await_all_ready()
    }

    fn round(&mut self, round: u32) -> Result<(), ProveError> {
        self.progress.name(&format!("round {round}"));
        let (acknowledged, kills) = (self.acknowledged(), self.course.kills);
        self.let_go_who_is_away_under_load()?;
        let duration = self.load(u64::from(round))?;
        self.come_back()?;
        self.progress.set(u64::from(round));
        self.course.rounds = round;
        self.tell_of_round(self.acknowledged() - acknowledged, duration, kills);
        Ok(())
    }

    /// Writes the line of the last round, before which there had been these kills.
    fn tell_of_round(&mut self, acknowledged: u64, duration: Duration, before: Kills) {
        let (round, rounds, seconds) = (self.course.rounds, self.options.rounds, duration.as_secs_f64());
        let again = match self.course.kills.on_the_way_back() - before.on_the_way_back() {
            0 => String::new(),
            1 => ", once more on its way back".to_owned(),
            count => format!(", {count} more times on its way back"),
        };
        let back = match (&self.course.never_returned, self.course.restarts.last()) {
            (None, Some(back)) => format!("back after {} ms", back.as_millis()),
            _ => "never back".to_owned(),
        };
        let missing = self.network.books.deliveries.missing();
        // The report says all of it again, so a line that nobody takes is no loss.
        let _ = writeln!(
            self.watch.lines,
            "round {round} of {rounds}: {acknowledged} acknowledged in {seconds:.1} s, killed{again}; {back}, \
             {missing} missing so far"
        );
    }

    /// Waits for what may still come, and for what came too much; then judges.
    fn close(&mut self) -> Result<Proof, ProveError> {
        if self.course.never_returned.is_none() {
            self.progress.name("drain");
            let patience = 3 * self.options.patience;
            self.wait(patience, None, |network| {
                network.books.deliveries.missing() == 0 && network.books.wills.missing() == 0
            })?;
            let ready = self.network.peers.iter_mut().filter(|peer| peer.is_ready());
            ready.for_each(Peer::ping);
            self.wait(patience, None, |network| !network.peers.iter().any(|peer| peer.is_pinging))?;
        }
        self.broker.kill();
        let place = self.broker.workplace().place();
        Proof::new(self.options, place, &self.course, &self.network.books)
    }

    /// Lets the load run for a random time, then kills the broker in the midst of it. At the end publishers are not
    /// held back, so that the kill meets exchanges at every step. Returns how long the load ran.
    fn load(&mut self, round: u64) -> Result<Duration, ProveError> {
        self.connect_doomed(round)?;
        let shortest = self.options.load / 4;
        let duration = self.dice.between(shortest, 2 * self.options.load - shortest);
        let begun = self.network.now();
        let due = begun + duration;
        self.set_slow(true);
        self.set_schedules(Some(Schedule { start: nanoseconds(begun), rate: self.options.rate, burst: 1 }));
        self.wait(Duration::MAX, Some(due.saturating_sub(SPRINT)), |_| false)?;
        let sprint = Schedule { start: nanoseconds(self.network.now()), rate: SPRINT_RATE, burst: 1 };
        self.set_schedules(Some(sprint));
        let waited = self.wait(Duration::MAX, Some(due), |_| false)?;
        let duration = self.network.now() - begun;
        if self.network.peers.iter().any(|peer| matches!(peer.part, Part::Doomed { .. }) && peer.is_ready()) {
            self.network.books.wills.due(round);
        }
        if waited == Waited::Due {
            self.course.kills.under_load += 1;
        }
        self.set_schedules(None);
        self.kill()?;
        self.set_slow(false);
        Ok(duration)
    }

    /// Starts the broker on its data and tells everybody where it is.
    fn start(&mut self) -> Result<(), ProveError> {
        let address = self.broker.start()?;
        self.network.broker_is_at(address);
        Ok(())
    }

    /// Kills the broker and reads what it had written.
    fn kill(&mut self) -> Result<(), ProveError> {
        if let Some(status) = self.broker.ended() {
            self.network.books.incidents.note(format!("the broker ended by itself: {status}"));
        }
        self.broker.kill();
        self.network.read_to_the_end()?;
        // Publishers come back when the retained values have been read, and each round has a will of its own.
        self.dismiss(|part| matches!(part, Part::Publisher(_) | Part::Doomed { .. }));
        let now = self.network.now();
        self.network.books.deliveries.killed(now);
        Ok(())
    }

    /// Has these connected from now on.
    fn want(&mut self, is_meant: impl Fn(&Part) -> bool) {
        let has_groups = self.has_groups;
        let peers = self.network.peers.iter_mut();
        let meant = peers.filter(|peer| is_meant(&peer.part) && (has_groups || !is_of_group(&peer.part)));
        meant.for_each(|peer| peer.is_wanted = true);
    }

    /// Lets these go.
    fn dismiss(&mut self, is_meant: impl Fn(&Part) -> bool) {
        let peers = self.network.peers.iter_mut();
        peers.filter(|peer| is_meant(&peer.part)).for_each(|peer| peer.is_wanted = false);
    }

    fn let_go_who_is_away_under_load(&mut self) -> Result<(), ProveError> {
        self.dismiss(|part| matches!(part, Part::Subscriber(subscriber) if subscriber.is_away_under_load));
        self.wait(self.options.patience, None, Network::is_complete)?;
        Ok(())
    }

    /// Connects the client whose will is due when the broker is killed; each round has another.
    fn connect_doomed(&mut self, round: u64) -> Result<(), ProveError> {
        let topics = &self.network.topics;
        let (client_id, topic) = (topics.client_id(&format!("doomed-{round}")), topics.will(round));
        let peers = self.network.peers.iter_mut();
        for peer in peers.filter(|peer| matches!(peer.part, Part::Doomed { .. })) {
            peer.client_id.clone_from(&client_id);
            peer.part = Part::Doomed { topic: topic.clone() };
            peer.is_wanted = true;
        }
        self.wait(self.options.patience, None, Network::is_complete)?;
        Ok(())
    }

    fn set_slow(&mut self, is_slow: bool) {
        self.network.peers.iter_mut().for_each(|peer| peer.set_slow(is_slow));
    }

    /// Deals a schedule out to the publishers; without one they finish what is in flight.
    fn set_schedules(&mut self, all: Option<Schedule>) {
        let outboxes = self.network.peers.iter_mut().filter_map(|peer| match &mut peer.part {
            Part::Publisher(outbox) => Some(outbox),
            _ => None,
        });
        let outboxes: Vec<_> = outboxes.collect();
        let count = outboxes.len() as u64;
        let each = all.map(|all| Schedule { rate: (all.rate / count).max(1), ..all });
        outboxes.into_iter().for_each(|outbox| outbox.set_schedule(each));
    }

    /// A broker without shared subscriptions is judged without them; every other refusal ends the trial.
    fn leave_out_groups_if_refused(&mut self) -> Result<(), ProveError> {
        let refused = || self.network.peers.iter().filter(|peer| peer.is_refused);
        if refused().any(|peer| !is_of_group(&peer.part)) {
            return Err(ProveError::NotServed(self.incidents()));
        }
        if refused().next().is_some() {
            self.has_groups = false;
            self.network.books.incidents.note("no shared subscriptions at this broker; left out".to_owned());
            self.dismiss(is_of_group);
        }
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.network.books.deliveries.acknowledged_count()
    }
}

fn is_of_group(part: &Part) -> bool {
    match part {
        Part::Subscriber(subscriber) => subscriber.attendance == Attendance::Shared,
        Part::Publisher(outbox) => matches!(outbox.lane(), Lane::Shared(_)),
        Part::Witness(..) | Part::Reader(..) | Part::Doomed { .. } => false,
    }
}

/// What is taken for the time of a start and of what follows before it is known.
const FIRST_TIME: Duration = Duration::from_millis(50);

/// For this long before a kill publishers send as fast as their windows allow.
const SPRINT: Duration = Duration::from_millis(50);
/// More than any broker acknowledges, in publications per second.
const SPRINT_RATE: u64 = 10_000_000;
