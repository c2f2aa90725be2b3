//! Who comes in: the order of backends, and what the client and the operator learn.

use crate::words::groups;
use noctule_auth::admission::{
    Admission, Anonymous, AnonymousFrom, Backend, Backends, CertificateName, Certificates, Verdict,
};
use noctule_auth::password::{PasswordHash, Scheme};
use noctule_auth::rules::{self, RuleSet};
use noctule_auth::users::Users;
use noctule_auth::{Access, Action, Address, Authority as _, Certificate, Credentials, Decision, Origin};
use std::sync::Arc;

/// Cheap enough for a test, and a different one for each password.
fn hash(password: &str) -> PasswordHash {
    let scheme = Scheme::Argon2id { version: 19, memory_kib: 8, passes: 1, lanes: 1 };
    PasswordHash::with_scheme(scheme, password.as_bytes(), b"a fixed salt").expect("valid")
}

fn users(file: &str, users: &[(&str, &str)]) -> Arc<Users> {
    let lines = users.iter().map(|(name, password)| match *password {
        "!" => format!("{name}:!:machines\n"),
        password => format!("{name}:{}:people\n", hash(password)),
    });
    Arc::new(Users::parse(file, &lines.collect::<String>()).expect("valid"))
}

fn anonymous(from: AnonymousFrom) -> Backend {
    let source = "noctule.toml:7".into();
    Backend::Anonymous(Anonymous { from, listeners: Vec::new(), believes_names: false, source })
}

fn by_certificate(listeners: &[&str]) -> Backend {
    let listeners = listeners.iter().map(|name| Box::from(*name)).collect();
    Backend::Certificates(Certificates {
        name: CertificateName::CommonName,
        listeners,
        source: "noctule.toml:3".into(),
    })
}

fn origin(address: &str) -> Origin {
    Origin { address: Address::parse(address), listener: "lan".into(), certificate: None }
}

fn with_certificate(common_name: &str) -> Origin {
    let certificate = Certificate { common_name: Some(common_name.into()), ..Certificate::default() };
    Origin { certificate: Some(Arc::new(certificate)), ..origin("10.0.0.1:1") }
}

/// Whether work was needed, and what it came to.
fn admit(
    backends: &Backends,
    origin: &Origin,
    user: Option<&str>,
    password: Option<&str>,
) -> (bool, Admission) {
    let password = password.map(str::as_bytes);
    let credentials =
        Credentials { client_id: "c", user_name: user, password, address: "10.0.0.1:1", origin };
    match backends.admit(&credentials, None) {
        Verdict::Decided(admission) => (false, admission),
        Verdict::NeedsWork(work) => (true, work.run()),
    }
}

/// The user name it comes in with, and the source of the decision.
fn came_in(admission: &Admission) -> Option<(Option<&str>, &str)> {
    assert_eq!(admission.decision.allowed, admission.identity.is_some());
    let identity = admission.identity.as_ref()?;
    Some((identity.user_name.as_deref(), &admission.decision.source))
}

#[test]
fn the_first_that_knows_the_client_decides_for_good() {
    let first = users("first", &[("anna", "one"), ("bert", "one")]);
    let second = users("second", &[("anna", "two"), ("carl", "two")]);
    let backends = Backends::new(vec![Backend::Users(first), Backend::Users(second)], "");
    let cases = [
        ("anna", "one", Some("first:1")),
        ("anna", "two", None),
        ("bert", "one", Some("first:2")),
        ("carl", "two", Some("second:2")),
        ("carl", "one", None),
        ("dora", "one", None),
    ];
    for (user, password, source) in cases {
        let (needed_work, admission) = admit(&backends, &origin("10.0.0.1:1"), Some(user), Some(password));
        assert!(needed_work, "{user}");
        assert_eq!(came_in(&admission), source.map(|source| (Some(user), source)), "{user} {password}");
    }
}

#[test]
fn who_guesses_learns_nothing_about_names() {
    let file = users("users", &[("anna", "one"), ("plc", "!")]);
    let backends = Backends::new(vec![Backend::Users(file)], "add it");
    let refuse = |user, password| {
        let (needed_work, admission) = admit(&backends, &origin("10.0.0.1:1"), Some(user), password);
        assert!(admission.identity.is_none() && admission.upgrade.is_none());
        (needed_work, admission.decision)
    };
    let (wrong, unknown, machine) =
        (refuse("anna", Some("x")), refuse("eve", Some("x")), refuse("plc", Some("x")));
    for (needed_work, decision) in [&wrong, &unknown, &machine] {
        assert!(*needed_work);
        assert_eq!((&*decision.rule, &*decision.source), ("user name or password is wrong", "users"));
        assert_eq!(decision.remedy, "add it");
    }
    assert_eq!(wrong.1.cause, "the password of user \"anna\" (users:1) is wrong");
    assert_eq!(unknown.1.cause, "user \"eve\" is in none of the files of users");
    assert_eq!(machine.1.cause, "user \"plc\" (users:2) has no password");
    assert!(
        !refuse("plc", Some("one")).1.allowed,
        "the password that is checked in its place is none of its own"
    );
    let (missing, unknown) = (refuse("anna", None), refuse("eve", None));
    assert!(!missing.0 && !unknown.0);
    assert_eq!((&missing.1.rule, &missing.1.source), (&unknown.1.rule, &unknown.1.source));
    assert_eq!(missing.1.cause, "CONNECT has the user name \"anna\" and no password");
}

#[test]
fn an_unknown_user_costs_as_much_as_the_costliest() {
    let cheap = PasswordHash::with_scheme(Scheme::Sha512, b"x", &[0; 12]).expect("valid");
    let dear =
        PasswordHash::with_scheme(Scheme::Pbkdf2Sha512 { iterations: 1234 }, b"x", &[0; 12]).expect("valid");
    let (first, _) = Users::parse_mosquitto("a", &format!("anna:{cheap}\n"));
    let (second, _) = Users::parse_mosquitto("b", &format!("bert:{dear}\ncarl:{cheap}\n"));
    let backends = Backends::new(vec![Backend::Users(first.into()), Backend::Users(second.into())], "");
    let origin = origin("10.0.0.1:1");
    let (user_name, password) = (Some("eve"), Some(&b"x"[..]));
    let credentials = Credentials { client_id: "c", user_name, password, address: "", origin: &origin };
    let Verdict::NeedsWork(work) = backends.admit(&credentials, None) else { panic!("work is due") };
    assert_eq!(
        format!("{work:?}"),
        "Work { hash: PasswordHash { scheme: Pbkdf2Sha512 { iterations: 1234 }, .. }, .. }"
    );
    assert!(!work.run().decision.allowed, "though it is the password of that hash");
}

#[test]
fn a_certificate_is_a_user_name() {
    let file = users("users", &[("plc-7", "!"), ("anna", "one")]);
    let backends = Backends::new(vec![by_certificate(&["lan"]), Backend::Users(file)], "");
    let (needed_work, admission) = admit(&backends, &with_certificate("plc-7"), None, None);
    assert_eq!((needed_work, came_in(&admission)), (false, Some((Some("plc-7"), "noctule.toml:3"))));
    assert_eq!(admission.identity.expect("came in").groups, groups(&["machines"]));
    let (_, admission) = admit(&backends, &with_certificate("plc-7"), Some("anna"), Some("wrong"));
    assert_eq!(came_in(&admission), Some((Some("plc-7"), "noctule.toml:3")), "whatever CONNECT says");
    let (_, admission) = admit(&backends, &with_certificate(""), Some("anna"), Some("one"));
    assert_eq!(came_in(&admission), Some((Some("anna"), "users:2")), "an empty name is none");
    let elsewhere = Origin { listener: "wan".into(), ..with_certificate("plc-7") };
    assert_eq!(came_in(&admit(&backends, &elsewhere, None, None).1), None);
}

#[test]
fn every_field_of_a_certificate_can_be_the_name() {
    let certificate = Certificate {
        common_name: Some("common".into()),
        subject: Some("CN=common,O=plant".into()),
        alternative_names: ["first".into(), "second".into()].into(),
        fingerprint: "f1".into(),
    };
    let origin = Origin { certificate: Some(Arc::new(certificate)), ..Origin::default() };
    for (name, expected) in [
        (CertificateName::CommonName, "common"),
        (CertificateName::AlternativeName, "first"),
        (CertificateName::Fingerprint, "f1"),
    ] {
        let certificates = Certificates { name, listeners: Vec::new(), source: "s".into() };
        let backends = Backends::new(vec![Backend::Certificates(certificates)], "");
        assert_eq!(came_in(&admit(&backends, &origin, None, None).1), Some((Some(expected), "s")));
    }
}

#[test]
fn clients_without_user_name_come_in_from_where_they_may() {
    let local = Backends::new(vec![anonymous(AnonymousFrom::ThisMachine)], "command");
    assert_eq!(came_in(&admit(&local, &origin("127.0.0.1:9"), None, None).1), Some((None, "noctule.toml:7")));
    let (needed_work, admission) = admit(&local, &origin("10.0.0.1:1"), None, None);
    assert!(!needed_work && came_in(&admission).is_none());
    let decision = admission.decision;
    assert_eq!(decision.rule, "clients from this address need a user name and a password");
    assert_eq!(
        decision.cause,
        "it has no user name, comes from 10.0.0.1, and clients without one are let in from this machine"
    );
    assert_eq!(decision.remedy, "command");
    let all = Backends::new(vec![anonymous(AnonymousFrom::Everywhere)], "");
    assert_eq!(came_in(&admit(&all, &origin("10.0.0.1:1"), None, None).1), Some((None, "noctule.toml:7")));
    let nobody = Backends::new(Vec::new(), "");
    assert_eq!(came_in(&admit(&nobody, &origin("127.0.0.1:1"), None, None).1), None);
}

#[test]
fn a_name_that_nobody_could_check_is_believed_only_where_that_is_said() {
    let believing = |believes_names| {
        let source = "s".into();
        let from = AnonymousFrom::Everywhere;
        Backend::Anonymous(Anonymous { from, listeners: Vec::new(), believes_names, source })
    };
    let connect = |list| {
        let (_, admission) = admit(&Backends::new(list, ""), &origin("10.0.0.1:1"), Some("anna"), Some("x"));
        came_in(&admission).is_some()
    };
    assert!(connect(vec![believing(true)]));
    assert!(!connect(vec![believing(false)]));
    let file = users("users", &[("bert", "one")]);
    assert!(!connect(vec![Backend::Users(Arc::clone(&file)), believing(true)]));
    assert!(!connect(vec![believing(true), Backend::Users(file)]), "whatever the order");
}

#[test]
fn a_password_of_ours_is_made_anew_when_it_is_known() {
    let text = format!("anna:{}\n", hash("one"));
    let ours = Backends::new(vec![Backend::Users(Users::parse("users", &text).expect("valid").into())], "");
    let (_, admission) = admit(&ours, &origin("10.0.0.1:1"), Some("anna"), Some("one"));
    let upgrade = admission.upgrade.expect("it is cheaper than ours");
    assert_eq!((&*upgrade.user, &*upgrade.file, &*upgrade.old), ("anna", "users", &hash("one")));
    assert_eq!(format!("{upgrade:?}"), "Upgrade { user: \"anna\", file: \"users\", .. }");
    let new = upgrade.run([9; 16]);
    assert!(new.verify(b"one") && !new.needs_rehash());
    let text = format!("anna:{new}\n");
    let ours = Backends::new(vec![Backend::Users(Users::parse("users", &text).expect("valid").into())], "");
    assert!(admit(&ours, &origin("10.0.0.1:1"), Some("anna"), Some("one")).1.upgrade.is_none());
    let (theirs, _) = Users::parse_mosquitto("passwd", &format!("anna:{}\n", hash("one")));
    let theirs = Backends::new(vec![Backend::Users(theirs.into())], "");
    let (_, admission) = admit(&theirs, &origin("10.0.0.1:1"), Some("anna"), Some("one"));
    assert!(admission.identity.is_some() && admission.upgrade.is_none(), "mosquitto's file is only read");
}

#[test]
fn work_can_be_done_elsewhere() {
    fn is_send<T: Send + 'static>() {}
    is_send::<noctule_auth::admission::Work>();
    is_send::<noctule_auth::admission::Upgrade>();
    is_send::<Admission>();
}

#[test]
fn groups_and_rights_are_those_of_now() {
    let rules = |line| {
        RuleSet::new(rules::parse("r", line).expect("valid"), Decision::deny("none", "r")).expect("one")
    };
    let access = |password, generation| {
        let backends = Backends::new(vec![Backend::Users(users("users", &[("anna", password)]))], "");
        Access::new(backends, rules("allow all # group=people"), generation)
    };
    let (before, after) = (access("one", 1), access("!", 2));
    let origin = origin("10.0.0.1:1");
    let (user_name, password) = (Some("anna"), Some(&b"one"[..]));
    let credentials = Credentials { client_id: "c", user_name, password, address: "", origin: &origin };
    let Verdict::NeedsWork(work) = before.admit(&credentials) else { panic!("work is due") };
    let identity = work.run().identity.expect("the password is right");
    let receive = Action::Receive { topic: "a" };
    assert!(before.allows(&identity, &receive));
    assert!(!after.allows(&identity, &receive), "anna is in another group now");
    let restored = before.identity("c".into(), Some("anna".into()), origin.clone());
    assert_eq!(restored, identity);
    assert!(before.allows(&restored, &receive) && before.connect(&credentials).allowed);
}

#[test]
fn the_line_for_the_log_has_what_the_operator_needs_and_cannot_be_forged() {
    let file = users("users", &[("anna", "one")]);
    let backends = Backends::new(vec![Backend::Users(file)], "`noctule passwd users NAME`");
    let origin = origin("10.0.0.1:1");
    let credentials = Credentials {
        client_id: "evil\n2026 root logged in",
        user_name: Some("e\u{1b}[31mve"),
        password: Some(b"hunter2"),
        address: "10.0.0.1:1",
        origin: &origin,
    };
    let Verdict::NeedsWork(work) = backends.admit(&credentials, None) else { panic!("work is due") };
    let line = work.run().decision.refusal_line(&credentials);
    assert_eq!(
        line,
        "client \"evil\\n2026 root logged in\" from 10.0.0.1:1 is refused: user \"e\\u{1b}[31mve\" is in none of \
         the files of users (users); to let it in: `noctule passwd users NAME`"
    );
    assert!(!format!("{credentials:?}").contains("hunter2"));
}
