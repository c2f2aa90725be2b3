//! Who a client is: asked at CONNECT, and answered at once or when its password has been checked.
//!
//! Checking a password takes longer than a turn may, so it is left in the effects as a [`PasswordCheck`] and done
//! elsewhere. Meanwhile CONNECT is *held*: it stays where it came in, and nothing behind it is looked at. When the
//! [answer](Shard::answer_check) is there, CONNECT is gone through again from its beginning, so whatever has happened
//! to the session, the limits or the rules in between counts. A held CONNECT dies with its connection, and with the
//! time that a connection has for it.

use crate::connection::State;
use crate::mail::Violation;
use crate::mount::whole_topic;
use crate::shard::{Shard, Turn};
use noctule_auth::admission::{Admission, Verdict, Work};
use noctule_auth::{Action, Address, Authority, Credentials, Decision, Identity, Reach, Rights};
use noctule_codec::{Connect, ReasonCode};
use noctule_session::{ConnectionId, Terms};
use std::sync::Arc;

/// What was worked out about the rights of a client, and in which [season](Shard::set_authority).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    season: u32,
    has_rights: bool,
    reach: Reach,
    rights: Rights,
}

/// How far the password of a client is.
#[derive(Clone, Debug, Default)]
pub(crate) enum Stage {
    /// Nobody has been asked.
    #[default]
    Unasked,
    /// It is being checked, for those who could know the client at that time.
    Held {
        /// The [season](Shard::set_authority) in which they were asked.
        season: u32,
    },
    /// It has been checked.
    Answered {
        /// What came of it.
        answer: CheckAnswer,
        /// The season in which those were asked who could know the client.
        season: u32,
    },
}

/// A password to be checked, whose CONNECT waits.
#[derive(Debug)]
pub struct PasswordCheck {
    /// Whose it is.
    pub connection: ConnectionId,
    /// The other end of that connection.
    pub address: Address,
    /// The user name that came with it.
    pub user_name: Box<str>,
    /// What takes its time.
    pub work: Work,
}

/// What came of a [`PasswordCheck`].
#[derive(Clone, Debug)]
pub enum CheckAnswer {
    /// It was done.
    Done(Box<Admission>),
    /// Too many others wait. The client may come again.
    Busy,
    /// There were so many wrong passwords from this address or for this user that this one is not looked at.
    TooManyAttempts,
}

/// A client that is not let in.
pub(crate) struct Refused {
    /// What it is told.
    pub(crate) violation: Violation,
    /// What the operator is told.
    pub(crate) cause: String,
}

impl Standing {
    fn new(rights: Option<Rights>, reach: Reach, season: u32) -> Self {
        Self { season, has_rights: rights.is_some(), reach, rights: rights.unwrap_or_default() }
    }

    /// What it receives without being asked about each topic.
    #[inline]
    pub(crate) fn reach(self) -> Reach {
        self.reach
    }

    /// Whether it was worked out in this season.
    #[inline]
    pub(crate) fn is_of(self, season: u32) -> bool {
        self.season == season
    }

    /// What may be remembered of the answers to its questions.
    #[inline]
    pub(crate) fn rights(self) -> Option<Rights> {
        self.has_rights.then_some(self.rights)
    }
}

impl From<Violation> for Refused {
    fn from(violation: Violation) -> Self {
        let cause = violation.cause.clone();
        Self { violation, cause }
    }
}

impl Shard {
    /// What came of the check of a password. Says whether somebody has waited for it: then the bytes of the
    /// connection are to be given again, CONNECT first.
    pub fn answer_check(&mut self, id: ConnectionId, answer: CheckAnswer) -> bool {
        let now = self.season;
        let Some(handshake) = self.handshake_mut(id) else { return false };
        let Stage::Held { season } = handshake.stage else { return false };
        // What those said who knew the client before a reload does not count after it.
        handshake.stage = if season == now { Stage::Answered { answer, season } } else { Stage::Unasked };
        true
    }

    /// Has this one decide from now on, on everything: publications, subscriptions, deliveries, wills, what is queued,
    /// and who may stay connected.
    pub fn set_authority(&mut self, authority: Arc<dyn Authority + Send + Sync>, turn: &mut Turn<'_>) {
        self.authority = authority;
        self.season = self.season.wrapping_add(1);
        for slot in self.connected_slots() {
            let decision = self.authority.keeps(&self.sessions[slot].identity);
            if !decision.allowed {
                let violation = Violation::new(ReasonCode::NotAuthorized, decision.told());
                self.close_session(slot, violation, turn);
            }
        }
    }

    /// Who the client is. `None`: CONNECT has to wait.
    pub(crate) fn admit(
        &mut self,
        id: ConnectionId,
        connect: &Connect<'_>,
        client_id: &str,
        terms: &Terms,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Identity>, Refused> {
        let stage = self.handshake_mut(id).map(|handshake| std::mem::take(&mut handshake.stage));
        let admission = match stage {
            Some(Stage::Answered { answer, season }) if season == self.season => finished(answer)?,
            _ => match self.ask(id, connect, client_id) {
                None => return Ok(None),
                Some(Verdict::Decided(admission)) => admission,
                Some(Verdict::NeedsWork(work)) => {
                    self.hold(id, connect, client_id, work, turn);
                    return Ok(None);
                }
            },
        };
        let identity = admission.identity.filter(|_| admission.decision.allowed);
        let identity = identity.ok_or_else(|| refused(connect, &admission.decision))?;
        check_user_is_client(&identity, terms)?;
        self.check_will_permission(connect, &identity, &terms.mount_point)?;
        Ok(Some(identity))
    }

    fn ask(&self, id: ConnectionId, connect: &Connect<'_>, client_id: &str) -> Option<Verdict> {
        let connection = self.connection(id)?;
        let State::Handshaking(handshake) = &connection.state else { return None };
        let (user_name, password) = (connect.user_name, connect.password);
        let (address, origin) = (&*handshake.address, &handshake.origin);
        Some(self.authority.admit(&Credentials { client_id, user_name, password, address, origin }))
    }

    /// Has the password checked. A client id that was assigned stays the client's.
    fn hold(
        &mut self,
        id: ConnectionId,
        connect: &Connect<'_>,
        client_id: &str,
        work: Work,
        turn: &mut Turn<'_>,
    ) {
        let season = self.season;
        let Some(handshake) = self.handshake_mut(id) else { return };
        handshake.stage = Stage::Held { season };
        handshake.assigned = connect.client_id.is_empty().then(|| client_id.into());
        let address = handshake.origin.address;
        let user_name = connect.user_name.unwrap_or_default().into();
        turn.fx.checks.push(PasswordCheck { connection: id, address, user_name, work });
    }

    fn check_will_permission(
        &self,
        connect: &Connect<'_>,
        identity: &Identity,
        mount_point: &str,
    ) -> Result<(), Refused> {
        let Some(will) = &connect.will else { return Ok(()) };
        let topic = &*whole_topic(mount_point, will.topic);
        let action = Action::Will { topic, qos: will.qos, retain: will.retain };
        let decision = self.authority.permit(identity, &action);
        if decision.allowed {
            return Ok(());
        }
        // The client is told of the topic that it has named, the operator of the whole one.
        let cause = |topic| format!("the will on {topic:?} is refused: {}", decision.told());
        let violation = Violation::new(ReasonCode::NotAuthorized, cause(will.topic));
        Err(Refused { violation, cause: Violation::new(ReasonCode::NotAuthorized, cause(topic)).cause })
    }

    /// Gives a session the client that has come to it, and says which.
    pub(crate) fn identify(&mut self, slot: usize, mut identity: Identity) -> usize {
        let resident = &mut self.sessions[slot];
        identity.client_id = Arc::clone(&resident.session.client_id);
        // Another client than the one for which messages were queued may have other rights.
        let is_other = resident.identity != identity;
        resident.identity = identity;
        resident.asks_again |= is_other && resident.session.outbound.waiting_len() > 0;
        self.renew_rights(slot);
        slot
    }

    /// Goes through the rules for the client of a session. What was queued by other rules is asked for again before
    /// it is sent.
    #[cold]
    #[inline(never)]
    pub(crate) fn renew_rights(&mut self, slot: usize) {
        let resident = &mut self.sessions[slot];
        self.authority.prepare(&mut resident.identity);
        let has_changed = !resident.standing.is_of(self.season);
        resident.asks_again |= has_changed && resident.session.outbound.waiting_len() > 0;
        let (rights, reach) =
            (self.authority.rights(&resident.identity), self.authority.reach(&resident.identity));
        resident.standing = Standing::new(rights, reach, self.season);
    }
}

/// Where user names are client ids, nobody gets the session of a user that it is not.
fn check_user_is_client(identity: &Identity, terms: &Terms) -> Result<(), Refused> {
    if !terms.client_ids.are_user_names || identity.user_name.as_deref() == Some(&*identity.client_id) {
        return Ok(());
    }
    let cause = "the user is not the one whose name it has given, which is the client id here \
                 (listener.user_name_as_client_id)";
    Err(Violation::new(ReasonCode::NotAuthorized, cause).into())
}

/// What a check came to, or why it was not done.
fn finished(answer: CheckAnswer) -> Result<Admission, Refused> {
    let refused = |reason_code, cause| Err(Violation::new(reason_code, cause).into());
    match answer {
        CheckAnswer::Done(admission) => Ok(*admission),
        CheckAnswer::Busy => refused(ReasonCode::ServerBusy, "too many passwords wait to be checked"),
        CheckAnswer::TooManyAttempts => {
            let cause = "too many wrong passwords, try again in a minute (access.attempts_per_minute_max)";
            refused(ReasonCode::ConnectionRateExceeded, cause)
        }
    }
}

/// The client is told the rule and its source; the operator also the cause and what would let it in.
fn refused(connect: &Connect<'_>, decision: &Decision) -> Refused {
    let reason_code = match connect.user_name.is_some() || connect.password.is_some() {
        true => ReasonCode::BadUserNameOrPassword,
        false => ReasonCode::NotAuthorized,
    };
    let cause = Violation::new(reason_code, decision.refusal_cause()).cause;
    Refused { violation: Violation::new(reason_code, decision.told()), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_session::ClientIds;

    #[test]
    fn where_user_names_are_client_ids_nobody_gets_the_session_of_another_user() {
        let named = ClientIds { are_user_names: true, ..ClientIds::default() };
        let (named, plain) = (Terms { client_ids: named, ..Terms::default() }, Terms::default());
        for (user_name, is_known) in [(Some("anna"), true), (Some("bert"), false), (None, false)] {
            let identity = Identity::new("anna", user_name.map(Into::into));
            assert_eq!(check_user_is_client(&identity, &named).is_ok(), is_known, "{user_name:?}");
            assert!(check_user_is_client(&identity, &plain).is_ok(), "{user_name:?}");
        }
    }
}
