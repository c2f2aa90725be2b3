//! What is subscribed, who wants it, and how far the server knows.
//!
//! ```text
//!           SUBSCRIBE            SUBACK
//!   Wanted ───────────> Asked ───────────> Held
//!     ^  ^                │ nobody wants it  │
//!     │  └── reconnect ───┘ any more         v
//!     │                          ┌─────── Leaving ──UNSUBSCRIBE──> Left ──UNSUBACK──> gone
//!     └────── wanted again ──────┴──────────────────────────────────┘
//! ```
//!
//! Invariants:
//! - A filter text is here once, however many streams want it, with one subscription identifier: for the server
//!   a second SUBSCRIBE replaces the first.
//! - A filter that nobody wants stays until the server has answered, so that messages on their way are known.
//! - `due` and `asked` say again what the standings say, because ten thousand filters are too many to be looked through
//!   for each packet: [`Filters::stand`] is the one place where a standing changes.

use noctule_codec::{Properties, QoS, ReasonCode, SubscriptionOptions};
use noctule_session::client::Token;
use noctule_topic::{FilterError, FilterIndex, Subscription};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Names a stream of this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamId(pub(crate) u64);

/// How far the server knows of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// To be subscribed.
    Wanted,
    /// SUBSCRIBE is on its way.
    Asked(Token),
    /// SUBACK has come.
    Held,
    /// To be unsubscribed.
    Leaving,
    /// UNSUBSCRIBE is on its way.
    Left(Token),
}

/// A filter as the server knows it or should.
#[derive(Debug)]
pub(crate) struct Filter {
    /// As it is written in SUBSCRIBE, with `$share/…`.
    pub(crate) text: Box<str>,
    pub(crate) options: SubscriptionOptions,
    /// What SUBSCRIBE says besides.
    pub(crate) properties: Properties<'static>,
    /// The QoS that the server has granted, at its last answer.
    pub(crate) granted: Option<QoS>,
    pub(crate) standing: Standing,
    /// The streams that want it, in the order in which they came.
    pub(crate) streams: Vec<StreamId>,
}

/// All filters of one client, by subscription identifier.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    filters: BTreeMap<u32, Filter>,
    by_text: HashMap<Box<str>, u32>,
    index: FilterIndex<u32, ()>,
    /// Those that the server has to be asked about.
    due: BTreeSet<u32>,
    /// Those whose request has not been answered.
    asked: HashMap<Token, u32>,
    last_id: u32,
}

impl Filters {
    /// A stream wants a filter. Returns its subscription identifier.
    ///
    /// Where others want it already, the server is asked again, with the higher QoS: the new stream wants the
    /// retained messages.
    pub(crate) fn want(
        &mut self,
        text: &str,
        options: SubscriptionOptions,
        properties: &Properties<'static>,
        stream: StreamId,
    ) -> Result<u32, FilterError> {
        let parsed = Subscription::parse(text)?;
        if let Some(id) = self.by_text.get(text) {
            let id = *id;
            if let Some(filter) = self.filters.get_mut(&id) {
                filter.want_too(options, stream);
                filter.properties = properties.clone();
            }
            self.stand(id, Standing::Wanted);
            return Ok(id);
        }
        let id = self.unused_id();
        self.index.insert(&parsed.filter, id, ());
        self.by_text.insert(text.into(), id);
        let filter = Filter {
            text: text.into(),
            options,
            properties: properties.clone(),
            granted: None,
            standing: Standing::Wanted,
            streams: vec![stream],
        };
        self.filters.insert(id, filter);
        self.due.insert(id);
        Ok(id)
    }

    /// A stream does not want a filter any more.
    pub(crate) fn leave(&mut self, id: u32, stream: StreamId) {
        let Some(filter) = self.filters.get_mut(&id) else { return };
        filter.streams.retain(|known| *known != stream);
        if !filter.streams.is_empty() {
            return;
        }
        match filter.standing {
            // The server has never heard of it on this session, or has it from an earlier one.
            Standing::Wanted | Standing::Asked(_) | Standing::Held => self.stand(id, Standing::Leaving),
            Standing::Leaving | Standing::Left(_) => {}
        }
    }

    /// A connection has begun. Without a session the server has no subscriptions; with one, what was not answered
    /// is asked again.
    pub(crate) fn connected(&mut self, session_present: bool) {
        let standings: Vec<_> = self.filters.iter().map(|(id, filter)| (*id, filter.standing)).collect();
        for (id, standing) in standings {
            match standing {
                Standing::Held if session_present => {}
                Standing::Wanted | Standing::Asked(_) | Standing::Held => self.stand(id, Standing::Wanted),
                Standing::Leaving | Standing::Left(_) if session_present => self.stand(id, Standing::Leaving),
                Standing::Leaving | Standing::Left(_) => self.remove(id),
            }
        }
    }

    /// The next filter after `last` that the server has to be asked about.
    pub(crate) fn next_due(&self, last: Option<u32>) -> Option<(u32, &Filter)> {
        let from = last.map_or(0, |last| last + 1);
        let id = *self.due.range(from..).next()?;
        self.filters.get(&id).map(|filter| (id, filter))
    }

    /// How far the server knows of a filter has changed.
    pub(crate) fn stand(&mut self, id: u32, standing: Standing) {
        let Some(filter) = self.filters.get_mut(&id) else { return };
        let before = std::mem::replace(&mut filter.standing, standing);
        self.forget_standing(id, before);
        match standing {
            Standing::Wanted | Standing::Leaving => {
                self.due.insert(id);
            }
            Standing::Asked(token) | Standing::Left(token) => {
                self.asked.insert(token, id);
            }
            Standing::Held => {}
        }
    }

    /// SUBACK grants it.
    pub(crate) fn granted(&mut self, id: u32, reason_code: ReasonCode) {
        if let Some(filter) = self.filters.get_mut(&id) {
            filter.granted = QoS::from_bits(reason_code.as_u8());
        }
        self.stand(id, Standing::Held);
    }

    /// The filter that waits for the answer to this request.
    pub(crate) fn answered(&self, token: Token) -> Option<u32> {
        self.asked.get(&token).copied()
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Filter> {
        self.filters.get(&id)
    }

    /// Forgets a filter.
    pub(crate) fn remove(&mut self, id: u32) {
        let Some(filter) = self.filters.remove(&id) else { return };
        self.forget_standing(id, filter.standing);
        self.by_text.remove(&filter.text);
        if let Ok(parsed) = Subscription::check(&filter.text) {
            self.index.remove(parsed.filter(), id);
        }
    }

    /// The filters a message is for: those it names and that match its topic; where that is none, because the
    /// server knows no identifiers or has subscriptions of an earlier run, those that match its topic.
    pub(crate) fn matching(&self, topic: &str, named: &[u32]) -> Vec<u32> {
        let mut matching = Vec::new();
        self.index.for_each_match(topic, |id, ()| matching.push(id));
        matching.sort_unstable();
        let is_named = |id: &u32| named.contains(id);
        if matching.iter().any(is_named) {
            matching.retain(is_named);
        }
        matching
    }

    fn forget_standing(&mut self, id: u32, standing: Standing) {
        match standing {
            Standing::Wanted | Standing::Leaving => {
                self.due.remove(&id);
            }
            Standing::Asked(token) | Standing::Left(token) => {
                self.asked.remove(&token);
            }
            Standing::Held => {}
        }
    }

    fn unused_id(&mut self) -> u32 {
        loop {
            self.last_id = if self.last_id >= SUBSCRIPTION_ID_MAX { 1 } else { self.last_id + 1 };
            if !self.filters.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

impl Filter {
    fn want_too(&mut self, options: SubscriptionOptions, stream: StreamId) {
        if self.streams.is_empty() {
            self.options = options;
        } else {
            self.options = both(self.options, options);
        }
        if !self.streams.contains(&stream) {
            self.streams.push(stream);
        }
    }
}

/// What serves two who want the same filter.
fn both(one: SubscriptionOptions, other: SubscriptionOptions) -> SubscriptionOptions {
    SubscriptionOptions {
        qos: QoS::max(one.qos, other.qos),
        no_local: one.no_local && other.no_local,
        retain_as_published: one.retain_as_published || other.retain_as_published,
        retain_handling: other.retain_handling,
    }
}

/// The highest subscription identifier.
const SUBSCRIPTION_ID_MAX: u32 = 268_435_455;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: StreamId = StreamId(1);
    const TWO: StreamId = StreamId(2);

    fn want(filters: &mut Filters, text: &str, stream: StreamId) -> u32 {
        filters.want(text, SubscriptionOptions::default(), &Properties::EMPTY, stream).expect("a filter")
    }

    fn due(filters: &Filters) -> Vec<(u32, Standing)> {
        let mut last = None;
        std::iter::from_fn(|| {
            let (id, filter) = filters.next_due(last)?;
            last = Some(id);
            Some((id, filter.standing))
        })
        .collect()
    }

    #[test]
    fn one_filter_has_one_identifier_and_leaves_with_its_last_stream() {
        let mut filters = Filters::default();
        let id = want(&mut filters, "a/+", ONE);
        assert_eq!(want(&mut filters, "a/+", TWO), id);
        filters.stand(id, Standing::Held);
        filters.leave(id, ONE);
        assert_eq!(due(&filters), []);
        filters.leave(id, TWO);
        assert_eq!(due(&filters), [(id, Standing::Leaving)]);
        assert_eq!(filters.matching("a/b", &[]), [id], "messages on their way are known");
        filters.remove(id);
        assert!(filters.matching("a/b", &[]).is_empty());
    }

    #[test]
    fn it_is_subscribed_anew_exactly_when_the_server_has_no_session() {
        let mut filters = Filters::default();
        let held = want(&mut filters, "held", ONE);
        let asked = want(&mut filters, "asked", ONE);
        let left = want(&mut filters, "left", ONE);
        filters.stand(held, Standing::Held);
        filters.stand(asked, Standing::Asked(Token(1)));
        filters.leave(left, ONE);
        filters.stand(left, Standing::Left(Token(2)));
        filters.connected(true);
        assert_eq!(due(&filters), [(asked, Standing::Wanted), (left, Standing::Leaving)]);
        filters.connected(false);
        assert_eq!(due(&filters), [(held, Standing::Wanted), (asked, Standing::Wanted)]);
    }

    #[test]
    fn who_wants_it_again_is_asked_for_again() {
        let mut filters = Filters::default();
        let id = want(&mut filters, "a", ONE);
        filters.stand(id, Standing::Held);
        filters.leave(id, ONE);
        filters.stand(id, Standing::Left(Token(1)));
        assert_eq!(want(&mut filters, "a", TWO), id);
        assert_eq!(due(&filters), [(id, Standing::Wanted)]);
        assert_eq!(filters.answered(Token(1)), None, "the answer to UNSUBSCRIBE changes nothing");
    }

    #[test]
    fn named_filters_get_a_message_if_they_match_it() {
        let mut filters = Filters::default();
        let plus = want(&mut filters, "a/+", ONE);
        let hash = want(&mut filters, "#", ONE);
        let shared = want(&mut filters, "$share/g/a/b", TWO);
        assert_eq!(filters.matching("a/b", &[plus]), [plus]);
        assert_eq!(filters.matching("a/b", &[plus, shared]), [plus, shared]);
        assert_eq!(filters.matching("a/b", &[]), [plus, hash, shared]);
        assert_eq!(filters.matching("x", &[plus]), [hash], "an identifier of an earlier run");
        assert!(filters.matching("$SYS/x", &[]).is_empty());
    }
}
