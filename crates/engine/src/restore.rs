//! Coming back: what a journal remembers becomes sessions, subscriptions, groups and retained messages again.
//!
//! It happens before any connection is accepted. Each session is given to its home; the changes of the directory
//! are staged as if the session had just asked for them, and take effect at the end of the turn.

use crate::groups::DebtChange;
use crate::replay::RememberedSession;
use crate::resident::Resident;
use crate::retained_phases::RetainedPhase;
use crate::shard::{Shard, Turn};
use crate::{Change, Mail};
use noctule_auth::Identity;
use noctule_session::{GroupNumber, Position, Publication};
use noctule_topic::{Subscription as FilterText, TopicFilter};
use std::sync::Arc;

impl Shard {
    /// Takes a session back whose home this is. What was connected when the broker stopped without a word counts
    /// as lost at `lost_at`; its will and its expiry count from there.
    pub fn restore(
        &mut self,
        remembered: RememberedSession,
        lost_at: noctule_session::Instant,
        turn: &mut Turn<'_>,
    ) {
        let RememberedSession { mut session, user_name, detached_at, retained_phases, .. } = remembered;
        let detached_at = detached_at.unwrap_or(lost_at);
        let expiry = session.session_expiry_interval;
        session.detached_at = Some(detached_at);
        session.expires_at = (expiry < u32::MAX).then(|| detached_at.plus_seconds(expiry));
        session.will_due = session.will.as_ref().map(|will| detached_at.plus_seconds(will.delay_seconds));
        let identity = Identity { client_id: Arc::clone(&session.client_id), user_name };
        let mut resident = Resident::new(session, identity, &turn.directory.memory);
        resident.is_recorded = true;
        resident.recorded_at = Position(1);
        turn.directory.session_opened();
        let slot = self.sessions.insert(resident);
        let me = self.subscriber(slot);
        self.restore_subscriptions(slot, turn);
        for phase in retained_phases {
            self.restore_phase(slot, &phase.filter, phase.given);
        }
        self.sessions[slot].arm(me, turn.now, &mut self.timers);
    }

    fn restore_subscriptions(&mut self, slot: usize, turn: &mut Turn<'_>) {
        let subscriptions = self.sessions[slot].session.subscriptions.clone();
        for (text, subscription) in subscriptions.iter() {
            let is_shared = text.starts_with("$share/");
            self.stage_subscription(slot, text, subscription, turn);
            self.count_subscription(slot, is_shared, true);
        }
    }

    fn restore_phase(
        &mut self,
        slot: usize,
        text: &str,
        given: hashbrown::HashSet<noctule_session::MessageNumber>,
    ) {
        let resident = &mut self.sessions[slot];
        let subscription = resident.session.subscriptions.iter().find(|(filter, _)| *filter == text);
        let Some((_, subscription)) = subscription else { return };
        let Ok(parsed) = FilterText::check(text) else { return };
        let Ok(filter) = TopicFilter::parse(parsed.filter()) else { return };
        resident.retained.push(RetainedPhase { given, ..RetainedPhase::new(text, &filter, subscription) });
    }

    /// Takes a retained message back, unless it has expired.
    pub fn restore_retained(&mut self, message: Arc<Publication>, turn: &mut Turn<'_>) {
        if message.is_expired(turn.now) {
            return;
        }
        if message.expires_at.is_some() {
            self.sweep_later(turn);
        }
        turn.fx.changes.push(Change::Retain(message));
    }

    /// Takes back a message that a group is owed and that a member holds.
    pub fn restore_debt(&mut self, group: GroupNumber, message: Arc<Publication>, turn: &mut Turn<'_>) {
        turn.fx.debts.push(DebtChange::Owed(group, message));
    }

    /// Takes back a message that a group is owed and that no member holds. Its members are there.
    pub fn restore_group_message(
        &mut self,
        group: GroupNumber,
        message: Arc<Publication>,
        turn: &mut Turn<'_>,
    ) {
        turn.fx.debts.push(DebtChange::Owed(group, Arc::clone(&message)));
        if let Some(home) = turn.directory.groups.read(|groups| groups.home(group)) {
            turn.fx.mail_to(home, Mail::Backlog { group, message });
        }
    }
}
