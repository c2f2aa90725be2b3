//! The property section of a packet.
use std::borrow::Cow;

/// One packet's property section in wire form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a>(Cow<'a, [u8]>);

/// One property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property<'a> {
    /// A name and a value of the user's.
    UserProperty(&'a str, &'a str),
}

/// The number of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyId {
    /// User Property.
    UserProperty = 0x26,
}

impl Properties<'_> {
    /// Session Expiry Interval.
    pub fn session_expiry_interval(&self) -> Option<u32> {
        None
    }
}
