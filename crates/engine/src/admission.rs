//! Who a client is: asked at CONNECT, and answered at once or when its password has been checked.
//!
//! Checking a password takes longer than a turn may, so it is left in the effects as a [`PasswordCheck`] and done
//! elsewhere. Meanwhile CONNECT is *held*: it stays where it came in, and nothing behind it is looked at. When the
//! [answer](Shard::answer_check) is there, CONNECT is gone through again from its beginning, so whatever has happened
//! to the session, the limits or the rules in between counts. A held CONNECT dies with its connection, and with the
//! time that a connection has for it.

use crate::connection::State;
use crate::mail::Violation;
use crate::shard::{Shard, Turn};
use noctule_auth::admission::{Admission, Verdict, Work};
use noctule_auth::{Action, Address, Authority, Credentials, Decision, Identity, Origin, Reach, Rights};
use noctule_codec::{Connect, ReasonCode};
use noctule_session::{ConnectionId, Instant};
use std::sync::Arc;

/// What was worked out about the rights of a client, and in which [season](Shard::set_authority).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    season: u32,
    has_rights: bool,
    reach: Reach,
    rights: Rights,
}

/// What a connection is until its client has been let in.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    /// When it was accepted.
    pub(crate) opened_at: Instant,
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// The client id that it was given, if it asked for one.
    pub(crate) assigned: Option<Box<str>>,
    /// How far its password is.
    pub(crate) stage: Stage,
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
    Answered(CheckAnswer),
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

impl Handshake {
    pub(crate) fn new(opened_at: Instant, address: &str) -> Self {
        let origin = Origin { address: Address::parse(address), ..Origin::default() };
        Self { opened_at, origin, assigned: None, stage: Stage::Unasked }
    }

    /// Whether CONNECT waits for the check of its password.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held { .. })
    }
}

impl From<Violation> for Refused {
    fn from(violation: Violation) -> Self {
        let cause = violation.cause.clone();
        Self { violation, cause }
    }
}

impl Shard {
    /// Where a connection comes from, as long as its client has not been let in: its listener is set before its first
    /// bytes are given, and its certificate when TLS has found it valid.
    pub fn origin_mut(&mut self, id: ConnectionId) -> Option<&mut Origin> {
        self.handshake_mut(id).map(|handshake| &mut handshake.origin)
    }

    /// What came of the check of a password. Says whether somebody has waited for it: then the bytes of the
    /// connection are to be given again, CONNECT first.
    pub fn answer_check(&mut self, id: ConnectionId, answer: CheckAnswer) -> bool {
        let now = self.season;
        let Some(handshake) = self.handshake_mut(id) else { return false };
        let Stage::Held { season } = handshake.stage else { return false };
        // What those said who knew the client before a reload does not count after it.
        handshake.stage = if season == now { Stage::Answered(answer) } else { Stage::Unasked };
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
        turn: &mut Turn<'_>,
    ) -> Result<Option<Identity>, Refused> {
        let stage = self.handshake_mut(id).map(|handshake| std::mem::take(&mut handshake.stage));
        let admission = match stage {
            Some(Stage::Answered(answer)) => finished(answer)?,
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
        self.check_will_permission(connect, &identity)?;
        Ok(Some(identity))
    }

    fn ask(&self, id: ConnectionId, connect: &Connect<'_>, client_id: &str) -> Option<Verdict> {
        let connection = self.connection(id)?;
        let State::Handshaking(handshake) = &connection.state else { return None };
        let (user_name, password) = (connect.user_name, connect.password);
        let (address, origin) = (&*connection.address, &handshake.origin);
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

    fn check_will_permission(&self, connect: &Connect<'_>, identity: &Identity) -> Result<(), Refused> {
        let Some(will) = &connect.will else { return Ok(()) };
        let action = Action::Will { topic: will.topic, qos: will.qos, retain: will.retain };
        let decision = self.authority.permit(identity, &action);
        if decision.allowed {
            return Ok(());
        }
        let cause = format!("the will on {:?} is refused: {}", will.topic, decision.told());
        Err(Violation::new(ReasonCode::NotAuthorized, cause).into())
    }

    fn handshake_mut(&mut self, id: ConnectionId) -> Option<&mut Handshake> {
        match &mut self.connection_mut(id)?.state {
            State::Handshaking(handshake) => Some(handshake),
            State::Connected { .. } | State::Closing { .. } => None,
        }
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
