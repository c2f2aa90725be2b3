//! Routes: everybody who gets the publications of one topic, found once.
//!
//! A route holds, for every home, the sessions that live there with what their overlapping subscriptions say
//! together, and the shared groups. It does not depend on the publication or its publisher; what differs
//! between them (QoS, RETAIN, No Local) is decided when a target is served.

use crate::directory::{Interest, Subscriber};
use crate::groups::Roster;
use crate::{FrameTarget, ShardId};
use noctule_codec::QoS;
use noctule_session::{Publication, SessionNumber, SubscriptionIds};
use std::sync::Arc;

/// Everybody who gets the publications of one topic.
#[derive(Debug, Default)]
pub struct Route {
    /// By home, in ascending order.
    homes: Box<[(ShardId, Box<[Target]>)]>,
    pub(crate) groups: Box<[Arc<Roster>]>,
    /// Somebody is owed above QoS 0 and remembered over a restart; few routes lead to anybody who is.
    is_durable: bool,
}

/// One session that a publication goes to, with everything its overlapping subscriptions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The session.
    pub subscriber: Subscriber,
    /// The highest granted QoS among them [MQTT-3.3.4-2].
    pub qos: QoS,
    /// One of them wants the RETAIN flag as published.
    pub retain_as_published: bool,
    /// The session outlives its connection, so what it is owed is recorded.
    pub durable: bool,
    /// What the session's own publications find.
    own: Own,
    /// Their identifiers [MQTT-3.3.4-3].
    pub subscription_ids: SubscriptionIds,
}

/// What is left of a session's subscriptions for its own publications: No Local keeps them from coming back
/// [MQTT-3.8.3-3].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Own {
    /// All of them; none has No Local.
    All,
    /// None of them; all have it.
    Nothing,
    /// Some of them.
    Some(Box<Target>),
}

impl Route {
    /// The sessions that matched, by home, and the shared groups.
    pub(crate) fn of(entries: &mut [(Subscriber, Interest)], groups: Vec<Arc<Roster>>) -> Self {
        // One filter's subscribers come in order; only several filters need sorting.
        if !entries.is_sorted_by_key(|(subscriber, _)| *subscriber) {
            entries.sort_by_key(|(subscriber, _)| *subscriber);
        }
        let targets_of = |entries: &[(Subscriber, Interest)]| {
            let of_one = entries.chunk_by(|(one, _), (next, _)| one == next);
            of_one.map(Target::merged).collect::<Box<[Target]>>()
        };
        let of_homes = entries.chunk_by(|(one, _), (next, _)| one.home == next.home);
        let homes = of_homes.map(|entries| (entries[0].0.home, targets_of(entries))).collect();
        let mut route = Self { homes, groups: groups.into(), is_durable: false };
        route.is_durable =
            route.all().any(Target::is_recorded) || route.groups.iter().any(|roster| roster.is_durable());
        route
    }

    /// The shards whose sessions get something.
    pub(crate) fn homes(&self) -> impl Iterator<Item = ShardId> {
        self.homes.iter().map(|(home, _)| *home)
    }

    /// The sessions of one shard.
    pub(crate) fn targets(&self, home: ShardId) -> &[Target] {
        let found = self.homes.iter().find(|(shard, _)| *shard == home);
        found.map_or(&[], |(_, targets)| targets)
    }

    /// Whether nobody on another shard gets anything, for certain.
    pub(crate) fn stays_in(&self, home: ShardId) -> bool {
        self.groups.is_empty() && self.homes().all(|other| other == home)
    }

    /// Whether a publication of this session reaches anybody.
    pub(crate) fn reaches_anybody(&self, publisher: Option<SessionNumber>) -> bool {
        !self.groups.is_empty() || self.all().any(|target| target.for_publisher(publisher).is_some())
    }

    /// Whether a session or a group that survives a restart is owed such a publication above QoS 0.
    pub(crate) fn owes_durable(&self, qos: QoS, publisher: Option<SessionNumber>) -> bool {
        self.is_durable && qos > QoS::AtMostOnce && {
            let mut targets = self.all().filter_map(|target| target.for_publisher(publisher));
            targets.any(Target::is_recorded) || self.groups.iter().any(|roster| roster.is_durable())
        }
    }

    /// What durable sessions are owed, for the publication's record.
    pub(crate) fn durable(
        &self,
        message: &Publication,
        publisher: Option<SessionNumber>,
    ) -> Vec<FrameTarget> {
        if message.qos == QoS::AtMostOnce {
            return Vec::new();
        }
        let targets = self.all().filter_map(|target| target.for_publisher(publisher));
        let owed = targets.filter(|target| target.is_recorded()).map(|target| FrameTarget {
            session: target.subscriber.session,
            qos: target.qos.min(message.qos),
            retain: target.retains(message),
            subscription_ids: target.subscription_ids.clone(),
        });
        owed.collect()
    }

    /// Bytes it takes, for who keeps it.
    pub(crate) fn bytes(&self) -> usize {
        let targets =
            self.homes.iter().map(|(_, targets)| targets.len() * size_of::<Target>() + 32).sum::<usize>();
        targets + self.groups.iter().map(|roster| roster.bytes()).sum::<usize>() + size_of::<Self>()
    }

    fn all(&self) -> impl Iterator<Item = &Target> {
        self.homes.iter().flat_map(|(_, targets)| targets)
    }
}

impl Target {
    /// A session with one subscription.
    pub(crate) fn new(subscriber: Subscriber, interest: &Interest) -> Self {
        Self::merged(&[(subscriber, *interest)])
    }

    /// A session with all its subscriptions that match: one delivery with the highest QoS and all identifiers
    /// [MQTT-3.3.4-2, -4].
    fn merged(entries: &[(Subscriber, Interest)]) -> Self {
        let mut target = Self::sum(entries.iter());
        let others = entries.iter().filter(|(_, interest)| !interest.no_local);
        target.own = match others.clone().count() {
            0 => Own::Nothing,
            count if count < entries.len() => Own::Some(Box::new(Self::sum(others))),
            _ => Own::All,
        };
        target
    }

    fn sum<'a>(entries: impl Iterator<Item = &'a (Subscriber, Interest)> + Clone) -> Self {
        let mut target = Self {
            subscriber: Subscriber::default(),
            qos: QoS::AtMostOnce,
            retain_as_published: false,
            durable: false,
            own: Own::All,
            subscription_ids: entries.clone().map(|(_, interest)| interest.id).filter(|id| *id > 0).collect(),
        };
        for (subscriber, interest) in entries {
            target.subscriber = *subscriber;
            target.qos = target.qos.max(interest.qos);
            target.retain_as_published |= interest.retain_as_published;
            target.durable |= interest.durable;
        }
        target
    }

    /// What a publication of this session finds.
    pub(crate) fn for_publisher(&self, publisher: Option<SessionNumber>) -> Option<&Self> {
        match &self.own {
            Own::All => Some(self),
            _ if publisher != Some(self.subscriber.session) => Some(self),
            Own::Nothing => None,
            Own::Some(target) => Some(target),
        }
    }

    /// The RETAIN flag of the delivery [MQTT-3.3.1-12], [MQTT-3.3.1-13].
    pub(crate) fn retains(&self, message: &Publication) -> bool {
        message.retain && self.retain_as_published
    }

    fn is_recorded(&self) -> bool {
        self.durable && self.qos > QoS::AtMostOnce
    }
}
