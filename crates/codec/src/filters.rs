//! The filter lists of SUBSCRIBE and UNSUBSCRIBE.
use std::borrow::Cow;

/// The filters of a SUBSCRIBE with their options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeFilters<'a>(Cow<'a, [u8]>);

/// The filters of an UNSUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnsubscribeFilters<'a>(Cow<'a, [u8]>);
