//! SUBSCRIBE and UNSUBSCRIBE.

use crate::directory::Interest;
use crate::effects::Event;
use crate::mail::{Then, Violation};
use crate::mount::whole_filter;
use crate::publish::Refusal;
use crate::retained_phases::RetainedPhase;
use crate::shard::{Shard, Turn};
use crate::{Change, Record};
use noctule_auth::Action;
use noctule_codec::{
    Packet, Properties, Property, ProtocolVersion, QoS, ReasonCode, RetainHandling, SubAck, Subscribe,
    SubscriptionOptions, UnsubAck, Unsubscribe, packet_len,
};
use noctule_session::{GroupNumber, Outgoing, SessionChange, Subscription};
use noctule_topic::{FilterError, Subscription as FilterText, TopicFilter};
use std::borrow::Cow;
use std::sync::Arc;

impl Shard {
    /// Makes or replaces subscriptions, a reason code for each [MQTT-3.8.4-6].
    pub(crate) fn handle_subscribe(
        &mut self,
        slot: usize,
        subscribe: &Subscribe<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let id = subscribe.properties.subscription_identifiers().next();
        // A packet that breaks a rule changes nothing, so all filters are checked before the first is used.
        let terms = self.terms_of(slot);
        for (text, options) in subscribe.filters.iter() {
            let whole = whole_filter(&terms.mount_point, text);
            let parsed = check_filter(&whole, text, options)?;
            self.check_announced(slot, &parsed, id)?;
        }
        self.check_answer_fits(slot, subscribe.filters.len())?;
        let in_use = self.refuses_id(slot, subscribe.packet_id);
        self.check_refusal_can_be_told(slot, ProtocolVersion::V3_1_1, turn)?;
        let mut reason_codes = Vec::with_capacity(subscribe.filters.len());
        let mut first_refusal = None;
        self.charge_filters(slot, subscribe.filters.len(), turn);
        for (place, (text, options)) in subscribe.filters.iter().enumerate() {
            let text = whole_filter(&terms.mount_point, text);
            let result = match in_use {
                true => Err(FilterRefusal::ID_IN_USE),
                // As many as a session may have is as many as one packet can ask for.
                false if place >= self.limits.subscriptions_max as usize => Err(FilterRefusal::QUOTA),
                false => self.subscribe(slot, &text, options, id, turn),
            };
            reason_codes.push(result.unwrap_or_else(|refusal| {
                let reason_code = refusal.reason_code;
                first_refusal.get_or_insert((place, refusal));
                reason_code
            }));
        }
        let is_refused = is_refused(&reason_codes);
        let suback = SubAck {
            packet_id: subscribe.packet_id,
            properties: self.why_refused(slot, first_refusal),
            reason_codes: reason_codes.into(),
        };
        let suback = Outgoing::Packet(Box::new(Packet::SubAck(suback)));
        self.answer_subscriptions(slot, suback, Then::Subscribed, is_refused, turn);
        Ok(())
    }

    /// A reason string about the first filter that is refused, by its place and not its text, which may have a mount
    /// point in front of it. Only who asks for problem information is told [MQTT-3.1.2-29].
    fn why_refused(&self, slot: usize, first: Option<(usize, FilterRefusal)>) -> Properties<'static> {
        let link = self.sessions[slot].session.link.as_ref();
        let wants_reason = link.is_some_and(|link| link.request_problem_information);
        match first {
            Some((place, refusal)) if wants_reason => {
                let why = format!("filter {}: {}", place + 1, refusal.why);
                Properties::new().with(Property::ReasonString(&why)).into_owned()
            }
            _ => Properties::EMPTY,
        }
    }

    /// Removes subscriptions. Deliveries that have begun are completed [MQTT-3.10.4-3].
    pub(crate) fn handle_unsubscribe(
        &mut self,
        slot: usize,
        unsubscribe: &Unsubscribe<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let terms = self.terms_of(slot);
        for text in unsubscribe.filters.iter() {
            let whole = whole_filter(&terms.mount_point, text);
            FilterText::check(&whole).map_err(|error| invalid_filter(text, &error))?;
        }
        self.check_answer_fits(slot, unsubscribe.filters.len())?;
        let in_use = self.refuses_id(slot, unsubscribe.packet_id);
        self.check_refusal_can_be_told(slot, ProtocolVersion::V5, turn)?;
        self.charge_filters(slot, unsubscribe.filters.len(), turn);
        let mut reason_codes = Vec::with_capacity(unsubscribe.filters.len());
        for text in unsubscribe.filters.iter() {
            reason_codes.push(match in_use {
                true => ReasonCode::PacketIdentifierInUse,
                false => self.unsubscribe(slot, &whole_filter(&terms.mount_point, text), turn),
            });
        }
        let is_refused = is_refused(&reason_codes);
        let unsuback = UnsubAck {
            packet_id: unsubscribe.packet_id,
            properties: Properties::EMPTY,
            reason_codes: reason_codes.into(),
        };
        let unsuback = Outgoing::Packet(Box::new(Packet::UnsubAck(unsuback)));
        self.answer_subscriptions(slot, unsuback, Then::Unsubscribed, is_refused, turn);
        Ok(())
    }

    /// Sends SUBACK or UNSUBACK once what it tells of is recorded and in force. One that has changed nothing tells of
    /// nothing, and would wait in vain for a journal that fails.
    fn answer_subscriptions(
        &mut self,
        slot: usize,
        answer: Outgoing,
        then: Then,
        is_refused: bool,
        turn: &mut Turn<'_>,
    ) {
        match is_refused {
            true => self.send(slot, answer, turn),
            false => self.promise_after_grace(slot, answer, then, turn),
        }
    }

    /// SUBACK and UNSUBACK have a code for each filter. A client that could not read its answer would wait for
    /// ever, so it asks in vain [MQTT-3.1.2-24].
    fn check_answer_fits(&self, slot: usize, filters: usize) -> Result<(), Violation> {
        let Some(link) = &self.sessions[slot].session.link else { return Ok(()) };
        let bytes_max = link.wire.packet_bytes_max;
        // Packet id, empty properties, codes.
        let bytes = packet_len(2 + 1 + filters);
        if bytes <= bytes_max as usize {
            return Ok(());
        }
        let cause = format!(
            "the answer to {filters} filters takes {bytes} bytes and the client accepts {bytes_max} \
             (Maximum Packet Size)"
        );
        Err(Violation::new(ReasonCode::PacketTooLarge, cause))
    }

    /// A filter costs its client about as much as the visit of so many nodes.
    fn charge_filters(&mut self, slot: usize, filters: usize, turn: &mut Turn<'_>) {
        turn.fx.work += filters;
        if let Some(link) = self.sessions[slot].session.link.as_deref_mut() {
            let visits = filters.saturating_mul(VISITS_PER_FILTER);
            link.pace.charge_match(visits, &self.limits, turn.now);
        }
    }

    /// One filter of a SUBSCRIBE: the granted QoS, or why not.
    fn subscribe(
        &mut self,
        slot: usize,
        text: &str,
        options: SubscriptionOptions,
        id: Option<u32>,
        turn: &mut Turn<'_>,
    ) -> Result<ReasonCode, FilterRefusal> {
        let parsed = FilterText::check(text).map_err(|_| FilterRefusal::TOPIC)?;
        let is_new = !self.sessions[slot].session.subscriptions.contains(text);
        let checked = self
            .check_subscription(slot, text, &parsed, id, turn)
            .and_then(|()| self.check_subscribing(slot, &parsed, options.qos));
        if let Err(refusal) = checked {
            self.log_refused_filter(slot, text, &refusal, turn);
            return Err(refusal);
        }
        let options = SubscriptionOptions { qos: options.qos.min(self.offered(slot).maximum_qos), ..options };
        let subscription = Subscription { options, id };
        let brings_retained = parsed.share_name().is_none() && brings_retained(options, is_new);
        let filter = text.into();
        self.record_session(slot, SessionChange::Subscribed { filter, subscription, brings_retained }, turn);
        self.stage_subscription(slot, text, subscription, turn);
        self.count_subscription(slot, parsed.share_name().is_some(), is_new);
        if is_new && parsed.share_name().is_some() {
            self.sessions[slot].sharing().joined.push(text.into());
        }
        self.open_retained_phase(slot, text, &parsed, subscription, is_new);
        Ok(granted(options.qos))
    }

    /// Whether the client may subscribe to it.
    fn check_subscribing(
        &mut self,
        slot: usize,
        parsed: &FilterText<'_>,
        qos: QoS,
    ) -> Result<(), FilterRefusal> {
        let decision = self.permit(slot, &Action::Subscribe { filter: parsed.filter(), qos });
        if decision.allowed {
            return Ok(());
        }
        Err(FilterRefusal { reason_code: ReasonCode::NotAuthorized, why: decision.told().into() })
    }

    /// A 5.0 client was told at CONNACK what is not available, so to use it ends its connection
    /// [MQTT-4.13.1-1]; to a 3.x client the filter is refused [MQTT-3.8.3-2, 3.1.1].
    fn check_announced(
        &self,
        slot: usize,
        parsed: &FilterText<'_>,
        id: Option<u32>,
    ) -> Result<(), Violation> {
        let link = self.sessions[slot].session.link.as_ref();
        match self.check_available(slot, parsed, id) {
            Err(code) if link.is_some_and(|link| link.wire.version == ProtocolVersion::V5) => {
                Err(Violation::new(code, format!("{code}, as CONNACK said")))
            }
            _ => Ok(()),
        }
    }

    /// Whether the broker has what the filter needs.
    fn check_available(
        &self,
        slot: usize,
        parsed: &FilterText<'_>,
        id: Option<u32>,
    ) -> Result<(), ReasonCode> {
        let limits = self.offered(slot);
        if id.is_some() && !limits.subscription_identifiers_available {
            Err(ReasonCode::SubscriptionIdentifiersNotSupported)
        } else if parsed.has_wildcards() && !limits.wildcard_subscription_available {
            Err(ReasonCode::WildcardSubscriptionsNotSupported)
        } else if parsed.share_name().is_some() && !limits.shared_subscription_available {
            Err(ReasonCode::SharedSubscriptionsNotSupported)
        } else {
            Ok(())
        }
    }

    /// What the broker's configuration and its bounds say about a well-formed filter.
    fn check_subscription(
        &self,
        slot: usize,
        text: &str,
        parsed: &FilterText<'_>,
        id: Option<u32>,
        turn: &Turn<'_>,
    ) -> Result<(), FilterRefusal> {
        let limits = &self.limits;
        let session = &self.sessions[slot].session;
        let is_new = !session.subscriptions.contains(text);
        let wildcards = parsed.has_wildcards();
        let bytes = text.len() as u64;
        let is_full = session.subscriptions.len() >= limits.subscriptions_max as usize
            || (wildcards && session.subscriptions.with_wildcards() >= limits.wildcard_subscriptions_max)
            || session.subscriptions.filter_bytes() + bytes > limits.subscription_bytes_max
            || !self.has_memory(bytes, turn);
        let filter = parsed.filter();
        self.check_available(slot, parsed, id)?;
        self.check_journal(slot, turn)?;
        match () {
            () if filter.split('/').count() > usize::from(limits.topic_levels_max)
                || text.len() > usize::from(limits.topic_bytes_max) =>
            {
                Err(FilterRefusal::TOPIC)
            }
            () if is_new && is_full => Err(FilterRefusal::QUOTA),
            () => Ok(()),
        }
    }

    /// Whether a change of subscriptions of this session can be recorded, where it has to be.
    fn check_journal(&self, slot: usize, turn: &Turn<'_>) -> Result<(), ReasonCode> {
        match Refusal::of_journal(turn.directory.journal.state()) {
            Some(refusal) if self.sessions[slot].session.is_durable() => Err(refusal.reason_code),
            _ => Ok(()),
        }
    }

    /// SUBACK of 3.1 and UNSUBACK of 3.x cannot say that nothing was changed, so there the connection ends.
    fn check_refusal_can_be_told(
        &self,
        slot: usize,
        since: ProtocolVersion,
        turn: &Turn<'_>,
    ) -> Result<(), Violation> {
        let link = self.sessions[slot].session.link.as_ref();
        let can_be_told = link.is_none_or(|link| link.wire.version >= since);
        match self.check_journal(slot, turn) {
            Err(code) if !can_be_told => {
                Err(Violation::new(code, "the change of the subscription cannot be recorded"))
            }
            _ => Ok(()),
        }
    }

    /// One filter of an UNSUBSCRIBE; only exactly equal filters are removed [MQTT-3.10.4-1].
    fn unsubscribe(&mut self, slot: usize, text: &str, turn: &mut Turn<'_>) -> ReasonCode {
        if !self.sessions[slot].session.subscriptions.contains(text) {
            return ReasonCode::NoSubscriptionExisted;
        }
        if self.check_journal(slot, turn).is_err() {
            return ReasonCode::UnspecifiedError;
        }
        self.record_session(slot, SessionChange::Unsubscribed { filter: text.into() }, turn);
        let me = self.subscriber(slot);
        self.stage_removal(me, text, turn);
        let resident = &mut self.sessions[slot];
        resident.retained.remove(text);
        if text.starts_with(SHARE) {
            resident.sharing().subscriptions -= 1;
        }
        ReasonCode::Success
    }

    /// Stages a subscription for the index or for its shared group.
    pub(crate) fn stage_subscription(
        &mut self,
        slot: usize,
        text: &str,
        subscription: Subscription,
        turn: &mut Turn<'_>,
    ) {
        let parsed = FilterText::parse(text).expect("only valid filters become subscriptions");
        let session = &self.sessions[slot].session;
        let durable = session.is_durable();
        let is_available = session.link.is_some();
        let SubscriptionOptions { qos, no_local, retain_as_published, .. } = subscription.options;
        let id = subscription.id.unwrap_or(0);
        let interest = Interest { qos, no_local, retain_as_published, durable, id };
        let subscriber = self.subscriber(slot);
        let filter = parsed.filter;
        let change = match parsed.share_name {
            None => Change::Subscribe { filter, subscriber, interest },
            Some(share_name) => {
                let home = self.group_home(&share_name, filter.as_str());
                let group = name_group(&share_name, filter.as_str(), durable, turn);
                Change::Join { share_name, filter, group, home, member: subscriber, interest, is_available }
            }
        };
        self.stage(change, turn);
    }

    pub(crate) fn count_subscription(&mut self, slot: usize, is_shared: bool, is_new: bool) {
        if !is_new {
            return;
        }
        self.stats.subscriptions += 1;
        if is_shared {
            self.stats.shared_subscriptions += 1;
            self.sessions[slot].sharing().subscriptions += 1;
        }
    }

    /// Retained messages follow the SUBACK of a subscription that asks for them. A shared one never does.
    fn open_retained_phase(
        &mut self,
        slot: usize,
        text: &str,
        parsed: &FilterText<'_>,
        subscription: Subscription,
        is_new: bool,
    ) {
        let wanted = brings_retained(subscription.options, is_new);
        let retained = &mut self.sessions[slot].retained;
        if wanted && parsed.share_name().is_none() {
            // A replaced subscription starts its retained messages anew, and only once.
            let filter =
                TopicFilter::parse(parsed.filter()).expect("only valid filters become subscriptions");
            retained.push(text, RetainedPhase::new(&filter, subscription));
        } else if let Some(phase) = retained.get_mut(text) {
            // What the replaced subscription still brings is not lost [MQTT-3.8.4-4].
            phase.subscription = subscription;
        }
    }

    /// Applies a change to a session and records it.
    pub(crate) fn record_session(&mut self, slot: usize, change: SessionChange, turn: &mut Turn<'_>) {
        let resident = &mut self.sessions[slot];
        resident.session.record(change, &mut self.session_fx);
        resident.recount();
        self.collect(slot, turn);
    }

    fn log_refused_filter(
        &self,
        slot: usize,
        text: &str,
        FilterRefusal { reason_code, why }: &FilterRefusal,
        turn: &mut Turn<'_>,
    ) {
        let (client_id, reason_code) = (Arc::clone(&self.sessions[slot].session.client_id), *reason_code);
        let cause = format!("the subscription to {text:?} is refused: {why}");
        Self::event(turn, Event::Denied { client_id, reason_code, cause });
    }
}

/// Why a filter of a SUBSCRIBE is refused.
struct FilterRefusal {
    reason_code: ReasonCode,
    /// For the client and the log.
    why: Cow<'static, str>,
}

impl FilterRefusal {
    const ID_IN_USE: Self = Self::because(
        ReasonCode::PacketIdentifierInUse,
        "the packet identifier is that of a QoS 2 publication which is not complete",
    );
    const TOPIC: Self = Self::because(
        ReasonCode::TopicFilterInvalid,
        "it has more levels or bytes than are allowed (limits.topic_levels_max, limits.topic_bytes_max)",
    );
    const QUOTA: Self = Self::because(
        ReasonCode::QuotaExceeded,
        "the session has as many subscriptions as it may (limits.subscriptions_max, \
         limits.wildcard_subscriptions_max, limits.subscription_bytes_max, limits.memory_bytes_max)",
    );

    const fn because(reason_code: ReasonCode, why: &'static str) -> Self {
        Self { reason_code, why: Cow::Borrowed(why) }
    }
}

/// What the broker does not have, or cannot do now.
impl From<ReasonCode> for FilterRefusal {
    fn from(reason_code: ReasonCode) -> Self {
        Self { reason_code, why: reason_code.to_string().into() }
    }
}

/// The number of a group, a new one if there is none; the journal has to know it before it is owed something.
fn name_group(share_name: &str, filter: &str, durable: bool, turn: &mut Turn<'_>) -> GroupNumber {
    let number = turn.directory.groups.read(|groups| groups.number(share_name, filter));
    let group = number.unwrap_or_else(|| turn.directory.next_group());
    if durable {
        let (share_name, filter) = (share_name.into(), filter.into());
        turn.fx.records.push(Record::GroupNamed { group, share_name, filter });
    }
    group
}

/// The rules that a filter must obey whatever the broker's configuration says. `text` is what the client calls it,
/// without a mount point.
fn check_filter<'a>(
    whole: &'a str,
    text: &str,
    options: SubscriptionOptions,
) -> Result<FilterText<'a>, Violation> {
    let parsed = FilterText::check(whole).map_err(|error| invalid_filter(text, &error))?;
    if parsed.share_name().is_some() && options.no_local {
        let cause = "No Local on a shared subscription [MQTT-3.8.3-4]";
        return Err(Violation::new(ReasonCode::ProtocolError, cause));
    }
    Ok(parsed)
}

fn invalid_filter(text: &str, error: &FilterError) -> Violation {
    let shown: String = text.chars().take(TEXT_SHOWN).collect();
    Violation::new(ReasonCode::TopicFilterInvalid, format!("{shown:?} is no topic filter: {error}"))
}

/// Whether a subscription asks for retained messages.
fn brings_retained(options: SubscriptionOptions, is_new: bool) -> bool {
    match options.retain_handling {
        RetainHandling::Send => true,
        RetainHandling::SendIfNew => is_new,
        RetainHandling::DoNotSend => false,
    }
}

/// Whether nothing of what was asked for is done.
fn is_refused(reason_codes: &[ReasonCode]) -> bool {
    reason_codes.iter().all(|code| code.is_error())
}

fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::GRANTED_QOS_0,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}

/// What a filter costs a client, in nodes of the index visited.
const VISITS_PER_FILTER: usize = 8;
/// How a shared subscription begins.
pub(crate) const SHARE: &str = "$share/";
/// Characters of a wrong filter that are repeated to the client.
const TEXT_SHOWN: usize = 80;
