//! Which clients a rule is about.

use super::{AddressPattern, NamePattern};
use crate::identity::{Certificate, Identity};

/// Which clients a rule is about: those that fulfil every condition. A list that is empty is no condition; in a list
/// that is not, one entry has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Who the user is.
    pub user: User,
    /// A group of the user.
    pub groups: Vec<NamePattern>,
    /// The client id.
    pub clients: Vec<NamePattern>,
    /// The common name in the certificate.
    pub common_names: Vec<NamePattern>,
    /// An alternative name in the certificate.
    pub alternative_names: Vec<NamePattern>,
    /// The fingerprint of the certificate, 64 lower-case hexadecimal digits.
    pub fingerprints: Vec<NamePattern>,
    /// The address.
    pub addresses: Vec<AddressPattern>,
    /// The name of the listener.
    pub listeners: Vec<NamePattern>,
    /// The user name or the client id contains `+` or `#`.
    pub name_has_wildcard: bool,
}

/// Which users a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// All, and clients without user name.
    #[default]
    Anybody,
    /// Clients without user name.
    Anonymous,
    /// Users with one of these names.
    Named(Vec<NamePattern>),
}

impl Conditions {
    /// Whether this client fulfils them all.
    pub(crate) fn hold(&self, identity: &Identity) -> bool {
        let origin = &identity.origin;
        self.user.includes(identity.user_name.as_deref())
            && (self.groups.is_empty() || identity.groups.iter().any(|group| one_fits(&self.groups, group)))
            && (self.clients.is_empty() || one_fits(&self.clients, &identity.client_id))
            && self.fit_certificate(origin.certificate.as_deref())
            && (self.addresses.is_empty() || self.addresses.iter().any(|one| one.matches(&origin.address)))
            && (self.listeners.is_empty() || one_fits(&self.listeners, origin.listener.name()))
            && (!self.name_has_wildcard || has_wildcard(identity))
    }

    fn fit_certificate(&self, certificate: Option<&Certificate>) -> bool {
        let Self { common_names, alternative_names, fingerprints, .. } = self;
        if common_names.is_empty() && alternative_names.is_empty() && fingerprints.is_empty() {
            return true;
        }
        let Some(certificate) = certificate else { return false };
        let common_name = certificate.common_name.as_deref();
        (common_names.is_empty() || common_name.is_some_and(|name| one_fits(common_names, name)))
            && (alternative_names.is_empty()
                || certificate.alternative_names.iter().any(|name| one_fits(alternative_names, name)))
            && (fingerprints.is_empty() || one_fits(fingerprints, &certificate.fingerprint))
    }
}

impl User {
    fn includes(&self, user_name: Option<&str>) -> bool {
        match self {
            Self::Anybody => true,
            Self::Anonymous => user_name.is_none(),
            Self::Named(names) => user_name.is_some_and(|name| one_fits(names, name)),
        }
    }
}

fn one_fits(patterns: &[NamePattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

fn has_wildcard(identity: &Identity) -> bool {
    let user_name = identity.user_name.as_deref().unwrap_or_default();
    user_name.contains(['+', '#']) || identity.client_id.contains(['+', '#'])
}
