//! What is said of each class, of retained values, sessions and wills; and which of it is a fault.

use std::time::Duration;

use noctule_codec::QoS;
use serde::Serialize;

/// How a subscriber takes part in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attendance {
    /// Connected all the time.
    Online,
    /// Connected all the time, but it lets the broker wait for acknowledgements, so that a queue builds.
    Slow,
    /// Connected only after the broker came back.
    Offline,
    /// Members of one shared subscription; one of them is away while the load runs.
    Shared,
}

/// What became of the publications of one QoS for one kind of subscriber. Each publication counts once for every
/// receiver that is owed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClassVerdict {
    /// QoS of publications and subscriptions.
    pub qos: u8,
    /// How the subscribers took part.
    pub attendance: Attendance,
    /// Subscribers, or groups.
    pub receivers: u32,
    /// Copies of what was sent.
    pub sent: u64,
    /// Copies of what was acknowledged by PUBACK or PUBCOMP.
    pub acknowledged: u64,
    /// Copies that came, each once.
    pub received: u64,
    /// Acknowledged and never received.
    pub lost: u64,
    /// Copies that came again; a fault at QoS 2, information at QoS 1.
    pub doubled: u64,
    /// First arrivals after a later publication of the same publisher and topic.
    pub out_of_order: u64,
    /// The longest time between an acknowledgement and the kill that followed it, among what was lost; milliseconds.
    pub lost_age_max_ms: Option<u64>,
}

/// What became of retained values: after each restart, a fresh client reads them before anybody publishes again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetainedVerdict {
    /// Updates sent.
    pub sent: u64,
    /// Updates acknowledged.
    pub acknowledged: u64,
    /// Values that had to be there, over all restarts.
    pub owed: u64,
    /// Values that were the last acknowledged one, or a later one.
    pub right: u64,
    /// Values that were older than the last acknowledged one.
    pub older: u64,
    /// Topics without a value.
    pub gone: u64,
}

/// What publishers had in flight when they came back, over all restarts: how much the trial asked of the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResumedVerdict {
    /// PUBLISH packets that were sent again, with DUP 1 and the packet id they had.
    pub publishes: u64,
    /// PUBREL packets that were sent again.
    pub releases: u64,
    /// Exchanges that the client had to forget because the broker had forgotten its session.
    pub abandoned: u64,
}

/// What became of durable sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SessionsVerdict {
    /// Connections to a session that the broker had confirmed before.
    pub owed: u64,
    /// Those to which it said that the session is there.
    pub present: u64,
    /// Those to which it said that there is none.
    pub forgotten: u64,
}

/// What became of the subscriptions of clients that were connected under load, between one kill and the next. What a
/// silent one did not get is lost, so it is counted there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SubscriptionsVerdict {
    /// Subscriptions that were owed something, over all times between two kills.
    pub owed: u64,
    /// Those that got something of it.
    pub served: u64,
    /// Those that got nothing: the session may be there, the subscription is not.
    pub silent: u64,
}

/// What became of the wills of clients that were connected when the broker was killed. The standard does not promise
/// them over a crash, so they are information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WillsVerdict {
    /// Clients with a will that were connected at a kill.
    pub due: u64,
    /// Wills that were published.
    pub published: u64,
    /// Wills that were not.
    pub missing: u64,
    /// Wills that came more than once.
    pub repeated: u64,
}

impl ClassVerdict {
    pub(crate) fn new(attendance: Attendance, qos: QoS) -> Self {
        Self {
            qos: qos as u8,
            attendance,
            receivers: 0,
            sent: 0,
            acknowledged: 0,
            received: 0,
            lost: 0,
            doubled: 0,
            out_of_order: 0,
            lost_age_max_ms: None,
        }
    }

    /// Counts a loss, and how old the promise was when the broker was killed.
    pub(crate) fn lose(&mut self, age: Option<Duration>) {
        self.lost += 1;
        self.lost_age_max_ms = self.lost_age_max_ms.max(age.map(|age| age.as_millis() as u64));
    }

    /// How often it was doubled where that is a fault [MQTT-4.3.3-10].
    pub fn doubled_faults(&self) -> u64 {
        if self.qos == QoS::ExactlyOnce as u8 { self.doubled } else { 0 }
    }

    /// Nothing was lost, and nothing doubled that must not be.
    pub fn is_kept(&self) -> bool {
        self.lost == 0 && self.doubled_faults() == 0
    }
}

impl RetainedVerdict {
    /// No value was older than it may be.
    pub fn is_kept(&self) -> bool {
        self.older == 0 && self.gone == 0
    }
}

impl SessionsVerdict {
    /// No session was forgotten.
    pub fn is_kept(&self) -> bool {
        self.forgotten == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_is_a_fault_where_exactly_once_was_asked_for() {
        for (qos, faults) in [(QoS::AtLeastOnce, 0), (QoS::ExactlyOnce, 3)] {
            let verdict = ClassVerdict { doubled: 3, ..ClassVerdict::new(Attendance::Online, qos) };
            assert_eq!((verdict.doubled_faults(), verdict.is_kept()), (faults, faults == 0));
        }
    }

    #[test]
    fn a_loss_is_a_fault_at_every_qos_and_the_oldest_promise_counts() {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut verdict = ClassVerdict::new(Attendance::Offline, qos);
            assert!(verdict.is_kept());
            for age in [None, Some(7), Some(3)] {
                verdict.lose(age.map(Duration::from_millis));
            }
            assert_eq!((verdict.lost, verdict.lost_age_max_ms, verdict.is_kept()), (3, Some(7), false));
        }
    }

    #[test]
    fn an_older_or_missing_value_and_a_forgotten_session_are_faults() {
        let (retained, sessions) = (RetainedVerdict::default(), SessionsVerdict::default());
        assert!(retained.is_kept() && sessions.is_kept());
        assert!(!RetainedVerdict { older: 1, ..retained }.is_kept());
        assert!(!RetainedVerdict { gone: 1, ..retained }.is_kept());
        assert!(!SessionsVerdict { forgotten: 1, ..sessions }.is_kept());
    }
}
