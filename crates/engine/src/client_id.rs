//! Client identifiers: which ones a listener accepts, and those that the broker gives away.

use crate::mail::Violation;
use crate::shard::Shard;
use noctule_codec::{Connect, ProtocolVersion, ReasonCode};
use noctule_session::{ClientIds, ConnectionId, Terms};
use std::borrow::Cow;

impl Shard {
    /// The client id that a CONNECT means, and whether the broker has chosen it: now, or before its password was
    /// checked. Where user names take the place of client ids, a client without one is refused later, under an id that
    /// nobody else has.
    pub(crate) fn client_id_for<'a>(
        &mut self,
        id: ConnectionId,
        connect: &Connect<'a>,
        terms: &Terms,
    ) -> (Cow<'a, str>, bool) {
        let own = match terms.client_ids.are_user_names {
            true => self.name_of_user(id, connect).unwrap_or_default(),
            false => connect.client_id.into(),
        };
        if !own.is_empty() {
            return (own, false);
        }
        let given = self.handshake(id).and_then(|handshake| handshake.assigned.as_deref()).map(str::to_owned);
        (given.unwrap_or_else(|| self.assign_client_id(&terms.client_ids)).into(), true)
    }

    /// Under which name the client will come in, if it does: that of its certificate where that decides, else that of
    /// CONNECT.
    fn name_of_user<'a>(&self, id: ConnectionId, connect: &Connect<'a>) -> Option<Cow<'a, str>> {
        let certain = self.handshake(id).and_then(|handshake| self.authority.certain_name(&handshake.origin));
        certain.map(Cow::Owned).or(connect.user_name.map(Cow::Borrowed)).filter(|name| !name.is_empty())
    }

    /// An empty client id asks for an assigned one; 3.1 has no such thing, and 3.1.1 only with Clean Session 1
    /// [MQTT-3.1.3-7, 3.1.1]. The bound on its length is not for those that the broker gave away.
    pub(crate) fn check_client_id(
        &self,
        id: ConnectionId,
        connect: &Connect<'_>,
        client_id: &str,
        terms: &Terms,
    ) -> Result<(), Violation> {
        let (rules, bytes_max) = (&terms.client_ids, self.limits.client_id_bytes_max);
        if rules.are_user_names && self.name_of_user(id, connect).is_none() {
            let cause =
                "a user name is needed, which is the client id here (listener.user_name_as_client_id)";
            return Err(Violation::new(ReasonCode::NotAuthorized, cause));
        }
        let is_empty = connect.client_id.is_empty() && !rules.are_user_names;
        let asks_in_vain = match connect.version {
            ProtocolVersion::V3_1 => true,
            ProtocolVersion::V3_1_1 => !connect.clean_start,
            ProtocolVersion::V5 => false,
        };
        let cause = if is_empty && asks_in_vain {
            "an empty client id needs a clean session and MQTT 3.1.1 or later".to_owned()
        } else if is_empty && !rules.may_be_empty {
            "an empty client id is not accepted here (listener.empty_client_id)".to_owned()
        } else if !is_empty && client_id.len() > usize::from(bytes_max) && !self.is_assigned(client_id, rules)
        {
            format!("the client id is longer than {bytes_max} bytes")
        } else if !is_empty && !client_id.starts_with(&*rules.prefix) {
            format!("the client id has to begin with {:?} (listener.client_id_prefix)", rules.prefix)
        } else {
            return Ok(());
        };
        Err(Violation::new(ReasonCode::ClientIdentifierNotValid, cause))
    }

    /// Whether the broker may have given this client id to its client: it has a session, or the look of one.
    fn is_assigned(&self, client_id: &str, rules: &ClientIds) -> bool {
        let suffix = client_id.strip_prefix(&*assigned_prefix(rules));
        let is_ours = suffix.is_some_and(|suffix| suffix.len() <= ASSIGNED_SUFFIX_BYTES_MAX);
        is_ours || self.sessions.find(client_id).is_some()
    }

    /// A client id that no session uses and that lives on this shard [MQTT-3.2.2-16].
    fn assign_client_id(&mut self, rules: &ClientIds) -> String {
        let (prefix, seed, me) = (assigned_prefix(rules), self.config.seed, self.config.id);
        loop {
            self.assigned_ids += 1;
            let client_id = format!("{prefix}{seed:016x}-{}-{}", me.0, self.assigned_ids);
            if self.home(&client_id) == me && self.sessions.find(&client_id).is_none() {
                return client_id;
            }
        }
    }
}

/// How assigned client ids begin: so that their clients are accepted when they come back with them.
fn assigned_prefix(rules: &ClientIds) -> Cow<'_, str> {
    let own = match &*rules.assigned_prefix {
        "" => ASSIGNED_PREFIX,
        own => own,
    };
    match own.starts_with(&*rules.prefix) {
        true => own.into(),
        false => format!("{}{own}", rules.prefix).into(),
    }
}

/// How assigned client ids begin where nothing else is configured.
const ASSIGNED_PREFIX: &str = "noctule-";
/// What follows is never longer: a seed, a shard and a number.
const ASSIGNED_SUFFIX_BYTES_MAX: usize = 48;
