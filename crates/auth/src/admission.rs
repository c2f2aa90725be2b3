//! Who are you: an ordered list of those who may know a client.
//!
//! # Who answers
//!
//! Backends are asked in their order, and **the first that knows the client decides, for good**; one that does not
//! know it says nothing, and the next is asked:
//!
//! - [`Certificates`] know a client that has shown a valid certificate with the field they read; that becomes its user
//!   name, whatever CONNECT says.
//! - [`Users`] know a client whose user name stands in their file. A wrong password is refused: it is not tried on the
//!   next file.
//! - [`Anonymous`] knows a client without user name, from where it is let in. (Where it says so, also one with a user
//!   name, if there is no file of users that could have known it.)
//!
//! A client that nobody knows is refused.
//!
//! # What it costs
//!
//! [`Backends::admit`] never takes long. Checking a password does; it is returned as [`Work`], to be run elsewhere
//! while CONNECT waits. A user name that nobody knows costs the same work, and the answer is the same as for a wrong
//! password: who guesses learns nothing about names. Only the operator is told, by [`Decision::cause`].

use crate::decision::{Credentials, Decision};
use crate::identity::{Certificate, Groups, Identity, Origin};
use crate::password::{PasswordHash, SALT_BYTES};
use crate::rules::RuleSet;
use crate::users::{User, Users, UsersKind};
use std::fmt;
use std::sync::Arc;

/// Who may know a client, in their order.
#[derive(Clone, Debug, Default)]
pub struct Backends {
    list: Vec<Backend>,
    /// What is checked for a user name that nobody knows.
    decoy: Option<Arc<PasswordHash>>,
    /// What lets in a client that is refused.
    remedy: Arc<str>,
}

/// One of those who may know a client.
#[derive(Clone, Debug)]
pub enum Backend {
    /// Clients with certificates.
    Certificates(Certificates),
    /// Users with passwords.
    Users(Arc<Users>),
    /// Clients without user name.
    Anonymous(Anonymous),
}

/// Lets in clients by their certificates.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// What becomes the user name.
    pub name: CertificateName,
    /// The listeners whose clients come in like this; empty: all.
    pub listeners: Vec<Box<str>>,
    /// Where this is written.
    pub source: Arc<str>,
}

/// A field of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The common name of the subject.
    CommonName,
    /// The first alternative name of the subject.
    AlternativeName,
    /// The fingerprint.
    Fingerprint,
    /// The whole subject.
    Subject,
}

/// Lets in clients without user name.
#[derive(Clone, Debug)]
pub struct Anonymous {
    /// From where.
    pub from: AnonymousFrom,
    /// The listeners whose clients come in like this; empty: all.
    pub listeners: Vec<Box<str>>,
    /// Whether a user name that nobody could have checked is let in too, and believed.
    pub believes_names: bool,
    /// Where this is written.
    pub source: Arc<str>,
}

/// From where clients without user name are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnonymousFrom {
    /// From nowhere; that it is asked says where this is written.
    Nowhere,
    /// From this machine.
    ThisMachine,
    /// From everywhere.
    Everywhere,
}

/// What CONNECT comes to.
#[derive(Debug)]
pub enum Verdict {
    /// It is decided.
    Decided(Admission),
    /// A password has to be checked first. CONNECT waits until that has been done elsewhere.
    NeedsWork(Work),
}

/// The end of it: whether a client comes in, and as whom.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The decision, its rule and its source.
    pub decision: Decision,
    /// Who it is, where it is let in.
    pub identity: Option<Identity>,
    /// Its password should be hashed anew, since it is known now.
    pub upgrade: Option<Upgrade>,
}

/// A password to be checked: takes up to a second and as much memory as the hash asks for.
pub struct Work {
    hash: Arc<PasswordHash>,
    password: Box<[u8]>,
    /// What it comes to if the password fits; `None`: it cannot.
    success: Option<Success>,
    refusal: Decision,
}

/// A password to be hashed anew: takes as long as checking one.
#[derive(Clone)]
pub struct Upgrade {
    /// The user.
    pub user: Box<str>,
    /// The file it stands in.
    pub file: Arc<str>,
    /// What is to be replaced, by [`replace_hash`](crate::users::replace_hash).
    pub old: Arc<PasswordHash>,
    password: Box<[u8]>,
}

/// What a client that is let in becomes.
struct Success {
    decision: Decision,
    identity: Identity,
    rules: Option<RuleSet>,
    file: Option<Arc<str>>,
}

/// What a backend says of a client.
enum Claim<'a> {
    /// It does not know it.
    NotMine,
    /// Lets it in under this name, as this source says.
    Known { user_name: Option<Box<str>>, rule: &'static str, source: Arc<str> },
    /// Its password decides.
    Password { users: &'a Users, user: &'a User },
}

impl Backends {
    /// Those who may know a client, in their order. `remedy` tells the operator what lets in a client that was
    /// refused.
    pub fn new(list: Vec<Backend>, remedy: impl Into<Arc<str>>) -> Self {
        let files = list.iter().filter_map(Backend::users);
        let decoy = files.filter_map(|users| users.costliest()).max_by_key(|hash| hash.cost()).cloned();
        Self { list, decoy, remedy: remedy.into() }
    }

    /// Who is this client, and may it connect?
    pub fn admit(&self, credentials: &Credentials<'_>, rules: Option<&RuleSet>) -> Verdict {
        for backend in &self.list {
            match self.claim(backend, credentials) {
                Claim::NotMine => {}
                Claim::Known { user_name, rule, source } => {
                    let success = self.success(credentials, user_name, rule, source.to_string(), rules);
                    return Verdict::Decided(success.admission());
                }
                Claim::Password { users, user } => {
                    return self.check_password(credentials, users, user, rules);
                }
            }
        }
        match credentials.user_name {
            Some(user_name) => self.refuse_user(credentials, user_name),
            None => Verdict::Decided(Admission::refused(self.refuse_anonymous(credentials))),
        }
    }

    /// What they say of a client, and what those say who are asked before. A password that is not given is taken for
    /// the right one.
    pub(crate) fn explain(&self, credentials: &Credentials<'_>) -> (Decision, Vec<String>) {
        let mut asked = Vec::new();
        for backend in &self.list {
            match self.claim(backend, credentials) {
                Claim::NotMine => asked.push(format!("{backend} does not know the client")),
                Claim::Password { users, user }
                    if credentials.password.is_none()
                        && user.hash.is_some()
                        && user.bar(credentials.client_id).is_none() =>
                {
                    let source = format!("{}:{}", users.file(), user.line);
                    let rule = "allowed with the password of the user";
                    return (Decision { source: source.into(), ..Decision::allow(rule, "") }, asked);
                }
                Claim::Known { .. } | Claim::Password { .. } => break,
            }
        }
        // Who gives no password wants to know about the user, not that a password is missing.
        let password = credentials.password.or(credentials.user_name.map(|_| &b""[..]));
        let admission = match self.admit(&Credentials { password, ..*credentials }, None) {
            Verdict::Decided(admission) => admission,
            Verdict::NeedsWork(work) => work.run(),
        };
        (admission.decision, asked)
    }

    /// Whether a client that was let in before would still be known, whatever its password is.
    pub fn keeps(&self, identity: &Identity) -> Decision {
        let user_name = identity.user_name.as_deref();
        let (client_id, origin) = (&*identity.client_id, &identity.origin);
        let credentials = Credentials { client_id, user_name, password: None, address: "", origin };
        let knows = |backend: &Backend| match self.claim(backend, &credentials) {
            Claim::NotMine => false,
            Claim::Known { user_name: known, .. } => known.as_deref() == user_name,
            Claim::Password { user, .. } => user.bar(client_id).is_none(),
        };
        match self.list.iter().any(knows) {
            true => Decision::allow("whoever is known may stay", "users"),
            false => Decision::deny("the client is not known any more", "users"),
        }
    }

    /// The user name of whoever comes from there: that of the certificate, where certificates are asked first.
    pub fn certain_name(&self, origin: &Origin) -> Option<String> {
        let (client_id, user_name, password, address) = ("", None, None, "");
        let credentials = Credentials { client_id, user_name, password, address, origin };
        match self.list.first().map(|backend| (backend, self.claim(backend, &credentials))) {
            Some((Backend::Certificates(_), Claim::Known { user_name, .. })) => user_name.map(Into::into),
            _ => None,
        }
    }

    /// The groups of a user.
    pub fn groups(&self, user_name: &str) -> Groups {
        let user = self.list.iter().filter_map(Backend::users).find_map(|users| users.get(user_name));
        user.map(|user| user.groups.clone()).unwrap_or_default()
    }

    fn claim<'a>(&self, backend: &'a Backend, credentials: &Credentials<'_>) -> Claim<'a> {
        match backend {
            Backend::Certificates(certificates) => certificates.claim(credentials),
            Backend::Users(users) => {
                let user = credentials.user_name.and_then(|name| users.get(name));
                user.map_or(Claim::NotMine, |user| Claim::Password { users, user })
            }
            Backend::Anonymous(anonymous) => anonymous.claim(credentials, self.has_users()),
        }
    }

    fn check_password(
        &self,
        credentials: &Credentials<'_>,
        users: &Users,
        user: &User,
        rules: Option<&RuleSet>,
    ) -> Verdict {
        let place = format!("{}:{}", users.file(), user.line);
        let user_name = credentials.user_name.unwrap_or_default();
        let bar = user.bar(credentials.client_id).map(|why| format!("user {user_name:?} ({place}) {why}"));
        let Some(password) = credentials.password else {
            let cause = bar.unwrap_or_else(|| no_password(user_name));
            return Verdict::Decided(Admission::refused(self.bad_credentials(cause)));
        };
        let is_barred = bar.is_some();
        let (hash, cause) = match &user.hash {
            Some(hash) => (hash, format!("the password of user {user_name:?} ({place}) is wrong")),
            None => match &self.decoy {
                Some(decoy) => (decoy, format!("user {user_name:?} ({place}) has no password")),
                None => return self.refuse_user(credentials, user_name),
            },
        };
        let rule = "the password is that of the user";
        let mut success = self.success(credentials, Some(user_name.into()), rule, place, rules);
        success.file = (users.kind() == UsersKind::Ours).then(|| Arc::clone(users.file()));
        Verdict::NeedsWork(Work {
            hash: Arc::clone(hash),
            password: password.into(),
            success: (user.hash.is_some() && !is_barred).then_some(success),
            refusal: self.bad_credentials(bar.unwrap_or(cause)),
        })
    }

    /// Refuses a user name that nobody knows, after as much work as for one that somebody does.
    fn refuse_user(&self, credentials: &Credentials<'_>, user_name: &str) -> Verdict {
        let cause = match self.has_users() {
            true => format!("user {user_name:?} is in none of the files of users"),
            false => format!("no file of users is configured in which {user_name:?} could stand"),
        };
        match (credentials.password, &self.decoy) {
            (Some(password), Some(decoy)) => Verdict::NeedsWork(Work {
                hash: Arc::clone(decoy),
                password: password.into(),
                success: None,
                refusal: self.bad_credentials(cause),
            }),
            (None, Some(_)) => {
                Verdict::Decided(Admission::refused(self.bad_credentials(no_password(user_name))))
            }
            (_, None) => Verdict::Decided(Admission::refused(self.bad_credentials(cause))),
        }
    }

    /// The same to the client, whatever is wrong.
    fn bad_credentials(&self, cause: String) -> Decision {
        let mut decision = Decision::deny("user name or password is wrong", "users");
        (decision.cause, decision.remedy) = (cause.into(), self.remedy.to_string().into());
        decision
    }

    fn refuse_anonymous(&self, credentials: &Credentials<'_>) -> Decision {
        let rule = "clients from this address need a user name and a password";
        let mut decision = Decision::deny(rule, "anonymous clients");
        let anonymous = self.list.iter().filter_map(Backend::anonymous);
        let (from, sources): (Vec<String>, Vec<&str>) =
            anonymous.map(|anonymous| (anonymous.to_string(), &*anonymous.source)).unzip();
        if !sources.is_empty() {
            decision.source = sources.join(" and ").into();
        }
        let from = if from.is_empty() { "from nowhere".to_owned() } else { from.join(" and ") };
        let address = credentials.origin.address;
        let cause =
            format!("it has no user name, comes from {address}, and clients without one are let in {from}");
        (decision.cause, decision.remedy) = (cause.into(), self.remedy.to_string().into());
        decision
    }

    fn success(
        &self,
        credentials: &Credentials<'_>,
        user_name: Option<Box<str>>,
        rule: &'static str,
        source: String,
        rules: Option<&RuleSet>,
    ) -> Success {
        let mut identity = credentials.identity();
        identity.groups = user_name.as_deref().map(|name| self.groups(name)).unwrap_or_default();
        identity.user_name = user_name;
        let decision = Decision { source: source.into(), ..Decision::allow(rule, "") };
        Success { decision, identity, rules: rules.cloned(), file: None }
    }

    fn has_users(&self) -> bool {
        self.list.iter().any(|backend| backend.users().is_some())
    }
}

impl Backend {
    fn users(&self) -> Option<&Users> {
        match self {
            Self::Users(users) => Some(users),
            Self::Certificates(_) | Self::Anonymous(_) => None,
        }
    }

    fn anonymous(&self) -> Option<&Anonymous> {
        match self {
            Self::Anonymous(anonymous) => Some(anonymous),
            Self::Certificates(_) | Self::Users(_) => None,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificates(certificates) => write!(formatter, "certificates ({})", certificates.source),
            Self::Users(users) => write!(formatter, "users ({})", users.file()),
            Self::Anonymous(anonymous) => write!(formatter, "anonymous {anonymous} ({})", anonymous.source),
        }
    }
}

impl Certificates {
    fn claim(&self, credentials: &Credentials<'_>) -> Claim<'static> {
        if !is_among(&self.listeners, credentials) {
            return Claim::NotMine;
        }
        let certificate = credentials.origin.certificate.as_deref();
        match certificate.and_then(|certificate| self.name.of(certificate)) {
            None => Claim::NotMine,
            Some(name) => Claim::Known {
                user_name: Some(name.into()),
                rule: "the client has shown a valid certificate",
                source: Arc::clone(&self.source),
            },
        }
    }
}

impl CertificateName {
    fn of(self, certificate: &Certificate) -> Option<&str> {
        let name = match self {
            Self::CommonName => certificate.common_name.as_deref(),
            Self::AlternativeName => certificate.alternative_names.first().map(|name| &**name),
            Self::Fingerprint => Some(&*certificate.fingerprint),
            Self::Subject => certificate.subject.as_deref(),
        };
        name.filter(|name| !name.is_empty())
    }
}

impl Anonymous {
    fn claim(&self, credentials: &Credentials<'_>, has_users: bool) -> Claim<'static> {
        let is_named = credentials.user_name.is_some();
        let is_believed = self.believes_names && !has_users;
        if (is_named && !is_believed) || !self.lets_in(credentials) {
            return Claim::NotMine;
        }
        let rule = match self.from {
            AnonymousFrom::Nowhere => return Claim::NotMine,
            AnonymousFrom::ThisMachine => "clients from this machine need no password",
            AnonymousFrom::Everywhere => "clients need no password",
        };
        let user_name = credentials.user_name.map(Into::into);
        Claim::Known { user_name, rule, source: Arc::clone(&self.source) }
    }

    fn lets_in(&self, credentials: &Credentials<'_>) -> bool {
        let is_from_there = match self.from {
            AnonymousFrom::Nowhere => false,
            AnonymousFrom::ThisMachine => credentials.origin.address.is_this_machine(),
            AnonymousFrom::Everywhere => true,
        };
        is_from_there && is_among(&self.listeners, credentials)
    }
}

impl fmt::Display for Anonymous {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match self.from {
            AnonymousFrom::Nowhere => "from nowhere",
            AnonymousFrom::ThisMachine => "from this machine",
            AnonymousFrom::Everywhere => "from everywhere",
        };
        match self.listeners.is_empty() {
            true => formatter.write_str(from),
            false => write!(formatter, "{from} to {}", self.listeners.join(", ")),
        }
    }
}

impl Admission {
    fn refused(decision: Decision) -> Self {
        Self { decision, identity: None, upgrade: None }
    }
}

impl Work {
    /// Checks the password.
    pub fn run(self) -> Admission {
        let fits = self.hash.verify(&self.password);
        match self.success {
            Some(mut success) if fits => {
                let upgrade = success.file.take().filter(|_| self.hash.needs_rehash()).map(|file| Upgrade {
                    user: success.identity.user_name.clone().unwrap_or_default(),
                    file,
                    old: self.hash,
                    password: self.password,
                });
                Admission { upgrade, ..success.admission() }
            }
            _ => Admission::refused(self.refusal),
        }
    }
}

impl Success {
    fn admission(mut self) -> Admission {
        if let Some(rules) = &self.rules {
            rules.prepare(&mut self.identity);
        }
        Admission { decision: self.decision, identity: Some(self.identity), upgrade: None }
    }
}

impl Upgrade {
    /// Hashes the password anew, with a salt that has to be random.
    pub fn run(self, salt: [u8; SALT_BYTES]) -> PasswordHash {
        PasswordHash::new(&self.password, salt)
    }
}

/// Says nothing about the password.
impl fmt::Debug for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Work").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Says nothing about the password.
impl fmt::Debug for Upgrade {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Upgrade");
        debug.field("user", &self.user).field("file", &self.file).finish_non_exhaustive()
    }
}

fn no_password(user_name: &str) -> String {
    format!("CONNECT has the user name {user_name:?} and no password")
}

fn is_among(listeners: &[Box<str>], credentials: &Credentials<'_>) -> bool {
    let listener = credentials.origin.listener.name();
    listeners.is_empty() || listeners.iter().any(|name| **name == *listener)
}
