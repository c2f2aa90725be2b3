//! The filter lists of SUBSCRIBE and UNSUBSCRIBE, kept in wire form.
//!
//! Both are checked when they are decoded or built: whole strings of UTF-8, valid options. Whether a filter's
//! wildcards stand where they may is not known here; `noctule-topic` parses filters.

use crate::wire::{self, Reader};
use crate::{DecodeError, EncodeError, PacketType, ProtocolVersion, SubscriptionOptions};
use std::borrow::Cow;
use std::fmt;

const TOPIC_FILTER: &str = "a topic filter";
const SUBSCRIPTION_OPTIONS: &str = "the subscription options";

/// The filters of a SUBSCRIBE with their options, in their order; borrowed or owned.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SubscribeFilters<'a>(Cow<'a, [u8]>);

impl<'a> SubscribeFilters<'a> {
    /// An empty list to push to. A SUBSCRIBE needs at least one filter [MQTT-3.8.3-2].
    pub const fn new() -> Self {
        Self(Cow::Borrowed(&[]))
    }

    /// The filters in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, SubscriptionOptions)> {
        let mut reader = Reader::new(&self.0);
        std::iter::from_fn(move || read_subscription(&mut reader, ProtocolVersion::V5).ok())
    }

    /// How many filters there are. Counts them.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a filter at the end.
    ///
    /// # Panics
    ///
    /// Where [`try_push`](Self::try_push) fails.
    pub fn push(&mut self, filter: &str, options: SubscriptionOptions) {
        self.try_push(filter, options).expect("a topic filter fits into 65,535 bytes");
    }

    /// Adds a filter at the end, unless it is above 65,535 bytes; then nothing is added.
    pub fn try_push(&mut self, filter: &str, options: SubscriptionOptions) -> Result<(), EncodeError> {
        let bytes = self.0.to_mut();
        wire::put_string(filter, TOPIC_FILTER, bytes)?;
        bytes.push(options.bits());
        Ok(())
    }

    /// The same list independent of the bytes it was read from.
    pub fn into_owned(self) -> SubscribeFilters<'static> {
        SubscribeFilters(Cow::Owned(self.0.into_owned()))
    }

    pub(crate) fn decode(bytes: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.is_empty() {
            return Err(DecodeError::NoTopicFilter { packet_type: PacketType::Subscribe });
        }
        while !reader.is_empty() {
            read_subscription(&mut reader, version)?;
        }
        Ok(Self(Cow::Borrowed(bytes)))
    }

    pub(crate) fn wire_len(&self) -> usize {
        self.0.len()
    }

    /// Appends the list; for 3.x with the QoS as the only option.
    pub(crate) fn write(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if version == ProtocolVersion::V5 {
            out.extend_from_slice(&self.0);
            return Ok(());
        }
        for (filter, options) in self.iter() {
            wire::put_string(filter, TOPIC_FILTER, out)?;
            out.push(options.qos as u8);
        }
        Ok(())
    }
}

impl<'f> FromIterator<(&'f str, SubscriptionOptions)> for SubscribeFilters<'_> {
    /// Panics where [`push`](Self::push) does.
    fn from_iter<I: IntoIterator<Item = (&'f str, SubscriptionOptions)>>(filters: I) -> Self {
        let mut list = Self::new();
        filters.into_iter().for_each(|(filter, options)| list.push(filter, options));
        list
    }
}

impl fmt::Debug for SubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The filters of an UNSUBSCRIBE in their order; borrowed or owned.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UnsubscribeFilters<'a>(Cow<'a, [u8]>);

impl<'a> UnsubscribeFilters<'a> {
    /// An empty list to push to. An UNSUBSCRIBE needs at least one filter [MQTT-3.10.3-2].
    pub const fn new() -> Self {
        Self(Cow::Borrowed(&[]))
    }

    /// The filters in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut reader = Reader::new(&self.0);
        std::iter::from_fn(move || reader.string(TOPIC_FILTER).ok())
    }

    /// How many filters there are. Counts them.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a filter at the end.
    ///
    /// # Panics
    ///
    /// Where [`try_push`](Self::try_push) fails.
    pub fn push(&mut self, filter: &str) {
        self.try_push(filter).expect("a topic filter fits into 65,535 bytes");
    }

    /// Adds a filter at the end, unless it is above 65,535 bytes; then nothing is added.
    pub fn try_push(&mut self, filter: &str) -> Result<(), EncodeError> {
        wire::put_string(filter, TOPIC_FILTER, self.0.to_mut())
    }

    /// The same list independent of the bytes it was read from.
    pub fn into_owned(self) -> UnsubscribeFilters<'static> {
        UnsubscribeFilters(Cow::Owned(self.0.into_owned()))
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.is_empty() {
            return Err(DecodeError::NoTopicFilter { packet_type: PacketType::Unsubscribe });
        }
        while !reader.is_empty() {
            reader.string(TOPIC_FILTER)?;
        }
        Ok(Self(Cow::Borrowed(bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'f> FromIterator<&'f str> for UnsubscribeFilters<'_> {
    /// Panics where [`push`](Self::push) does.
    fn from_iter<I: IntoIterator<Item = &'f str>>(filters: I) -> Self {
        let mut list = Self::new();
        filters.into_iter().for_each(|filter| list.push(filter));
        list
    }
}

impl fmt::Debug for UnsubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn read_subscription<'a>(
    reader: &mut Reader<'a>,
    version: ProtocolVersion,
) -> Result<(&'a str, SubscriptionOptions), DecodeError> {
    let filter = reader.string(TOPIC_FILTER)?;
    let options = reader.u8(SUBSCRIPTION_OPTIONS)?;
    Ok((filter, SubscriptionOptions::decode(options, version)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EVERY_VERSION, V3_1_1, V5};
    use crate::{QoS, ReasonCode, RetainHandling};

    const PLAIN: SubscriptionOptions = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    const EVERYTHING: SubscriptionOptions = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };

    #[test]
    fn subscriptions_come_back_in_their_order() {
        let list: SubscribeFilters<'_> =
            [("b/#", EVERYTHING), ("a", PLAIN), ("b/#", PLAIN)].into_iter().collect();
        assert_eq!(list.iter().collect::<Vec<_>>(), [("b/#", EVERYTHING), ("a", PLAIN), ("b/#", PLAIN)]);
        assert_eq!((list.len(), list.is_empty()), (3, false));

        let mut out = Vec::new();
        list.write(V5, &mut out).expect("it is short");
        assert_eq!(out, b"\x00\x03b/#\x2E\x00\x01a\x01\x00\x03b/#\x01");
        assert_eq!(out.len(), list.wire_len());
        assert_eq!(SubscribeFilters::decode(&out, V5), Ok(list.clone()));
        assert_eq!(SubscribeFilters::decode(&out, V5).map(SubscribeFilters::into_owned), Ok(list));
    }

    #[test]
    fn the_older_versions_have_only_the_qos() {
        let list: SubscribeFilters<'_> = [("a", EVERYTHING)].into_iter().collect();
        let mut out = Vec::new();
        list.write(V3_1_1, &mut out).expect("it is short");
        assert_eq!(out, b"\x00\x01a\x02");
        let read = SubscribeFilters::decode(&out, V3_1_1).expect("valid");
        let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
        assert_eq!(read.iter().collect::<Vec<_>>(), [("a", options)]);
    }

    #[test]
    fn unsubscriptions_come_back_in_their_order() {
        let list: UnsubscribeFilters<'_> = ["b/#", "a", ""].into_iter().collect();
        assert_eq!(list.as_bytes(), b"\x00\x03b/#\x00\x01a\x00\x00");
        assert_eq!(list.iter().collect::<Vec<_>>(), ["b/#", "a", ""]);
        assert_eq!((list.len(), list.is_empty()), (3, false));
        let bytes = list.as_bytes().to_vec();
        assert_eq!(UnsubscribeFilters::decode(&bytes), Ok(list.clone()));
        assert_eq!(UnsubscribeFilters::decode(&bytes).map(UnsubscribeFilters::into_owned), Ok(list));
    }

    #[test]
    fn mqtt_3_8_3_2_and_3_10_3_2_there_is_at_least_one_filter() {
        for version in EVERY_VERSION {
            let error = DecodeError::NoTopicFilter { packet_type: PacketType::Subscribe };
            assert_eq!(SubscribeFilters::decode(&[], version), Err(error));
            assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
        }
        let error = DecodeError::NoTopicFilter { packet_type: PacketType::Unsubscribe };
        assert_eq!(UnsubscribeFilters::decode(&[]), Err(error));
        assert!(SubscribeFilters::new().is_empty() && UnsubscribeFilters::new().is_empty());
    }

    #[test]
    fn every_filter_of_a_list_is_checked() {
        let cases: [(&[u8], DecodeError); 6] = [
            (b"\x00", DecodeError::FieldBeyondEnd { field: TOPIC_FILTER }),
            (b"\x00\x02a", DecodeError::FieldBeyondEnd { field: TOPIC_FILTER }),
            (b"\x00\x01a", DecodeError::FieldBeyondEnd { field: SUBSCRIPTION_OPTIONS }),
            // [MQTT-3.8.3-1]
            (b"\x00\x01\xFF\x00", DecodeError::NotUtf8 { field: TOPIC_FILTER }),
            (b"\x00\x01\x00\x00", DecodeError::NulCharacter { field: TOPIC_FILTER }),
            (b"\x00\x01a\x03", DecodeError::SubscriptionQoS { version: V5 }),
        ];
        for (wrong, error) in cases {
            let after_a_valid_one = [b"\x00\x01a\x00", wrong].concat();
            assert_eq!(SubscribeFilters::decode(wrong, V5), Err(error));
            assert_eq!(SubscribeFilters::decode(&after_a_valid_one, V5), Err(error));
        }
        let cases: [(&[u8], DecodeError); 4] = [
            (b"\x00", DecodeError::FieldBeyondEnd { field: TOPIC_FILTER }),
            (b"\x00\x02a", DecodeError::FieldBeyondEnd { field: TOPIC_FILTER }),
            // [MQTT-3.10.3-1]
            (b"\x00\x01\xFF", DecodeError::NotUtf8 { field: TOPIC_FILTER }),
            (b"\x00\x01\x00", DecodeError::NulCharacter { field: TOPIC_FILTER }),
        ];
        for (wrong, error) in cases {
            assert_eq!(UnsubscribeFilters::decode(&[b"\x00\x01a", wrong].concat()), Err(error));
        }
    }

    #[test]
    fn a_filter_that_is_too_long_is_not_added() {
        let too_long = "x".repeat(65_536);
        let error = EncodeError::FieldTooLong { field: TOPIC_FILTER, bytes: 65_536 };
        let mut subscribe: SubscribeFilters<'_> = [("a", PLAIN)].into_iter().collect();
        assert_eq!(subscribe.try_push(&too_long, PLAIN), Err(error));
        assert_eq!(subscribe.iter().collect::<Vec<_>>(), [("a", PLAIN)]);
        let mut unsubscribe: UnsubscribeFilters<'_> = ["a"].into_iter().collect();
        assert_eq!(unsubscribe.try_push(&too_long), Err(error));
        assert_eq!(unsubscribe.iter().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn debug_lists_filters() {
        let list: UnsubscribeFilters<'_> = ["a", "b"].into_iter().collect();
        assert_eq!(format!("{list:?}"), r#"["a", "b"]"#);
        let list: SubscribeFilters<'_> = [("a", PLAIN)].into_iter().collect();
        assert!(format!("{list:?}").starts_with(r#"[("a", SubscriptionOptions"#));
    }
}
