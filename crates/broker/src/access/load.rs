//! From the section `[access]` to what is asked about clients.

use super::secrets::read_secret;
use crate::config::{
    AccessSettings, AnonymousClients, Config, ListenerAccess, ListenerConfig, Place, Problem, Problems,
    WithoutRules,
};
use noctule_auth::admission::{Anonymous, AnonymousFrom, Backend, Backends, Certificates};
use noctule_auth::rules::{self, RuleSet};
use noctule_auth::users::Users;
use noctule_auth::{Access, Decision, FileError, dynamic_security, mosquitto};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// What the configuration says about clients.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Who may come in, and what they may do.
    pub access: Access,
    /// What looks like a mistake, or should be better protected, but stops nothing.
    pub warnings: Vec<String>,
}

/// Reads the files that the section `[access]` names, and those of listeners that have their own. `generation` is given
/// to no other content of them.
///
/// # Errors
/// Everything that is wrong in them, with file and line.
pub fn load(config: &Config, generation: u64) -> Result<Loaded, Problems> {
    load_with(&config.access, &of_listeners(config), generation)
}

/// What holds for the clients of a listener that differs from `[access]`.
struct OfListener {
    name: String,
    settings: AccessSettings,
    keys: Keys,
}

/// The keys that say something; decisions that come from them name them.
struct Keys {
    anonymous: Arc<str>,
    certificate_name: Arc<str>,
    rules: &'static str,
    mosquitto_acl_file: &'static str,
    mosquitto_dynamic_security_file: &'static str,
}

impl Keys {
    /// Those of the section.
    fn of_section() -> Self {
        Self {
            anonymous: "access.anonymous".into(),
            certificate_name: "access.certificate_name".into(),
            rules: "access.rules",
            mosquitto_acl_file: "access.mosquitto_acl_file",
            mosquitto_dynamic_security_file: "access.mosquitto_dynamic_security_file",
        }
    }

    /// Those of a listener's table where it sets them, with its name.
    fn of_listener(listener: &ListenerConfig) -> Self {
        let mut keys = Self::of_section();
        if listener.anonymous.is_some() {
            keys.anonymous = format!("listener.anonymous of {}", listener.name()).into();
        }
        if listener.certificate_name.is_some() {
            keys.certificate_name = format!("listener.certificate_name of {}", listener.name()).into();
        }
        if listener.access != ListenerAccess::default() {
            keys.rules = "listener.rules";
            keys.mosquitto_acl_file = "listener.mosquitto_acl_file";
            keys.mosquitto_dynamic_security_file = "listener.mosquitto_dynamic_security_file";
        }
        keys
    }
}

/// The files that [`load`] reads.
pub(crate) fn files(config: &Config) -> impl Iterator<Item = String> {
    let of_listeners = of_listeners(config).into_iter().map(|listener| listener.settings);
    of_listeners.chain([config.access.clone()]).flat_map(|settings| {
        let AccessSettings { users, rules, mosquitto_password_file, mosquitto_acl_file, .. } = settings;
        let dynamic_security = settings.mosquitto_dynamic_security_file;
        let others = [rules, mosquitto_password_file, mosquitto_acl_file, dynamic_security];
        users.into_iter().chain(others).filter(|file| !file.is_empty())
    })
}

/// The listeners that differ from `[access]`.
fn of_listeners(config: &Config) -> Vec<OfListener> {
    let own = |listener: ListenerConfig| {
        let settings = listener.own_access(&config.access)?;
        Some(OfListener { name: listener.name(), settings, keys: Keys::of_listener(&listener) })
    };
    config.listeners().filter_map(own).collect()
}

/// The same with listeners for whose clients their settings hold and no others.
fn load_with(
    settings: &AccessSettings,
    listeners: &[OfListener],
    generation: u64,
) -> Result<Loaded, Problems> {
    let mut reader = Reader::default();
    let part = reader.part(settings, &Keys::of_section());
    let mut access = part.map(|(backends, rules)| Access::new(backends, rules, generation));
    for OfListener { name, settings, keys } in listeners {
        let part = reader.part(settings, keys);
        access =
            access.zip(part).map(|(access, (backends, rules))| access.with_listener(name, backends, rules));
    }
    match access {
        Some(access) if reader.problems.is_empty() => Ok(Loaded { access, warnings: reader.warnings }),
        _ => Err(Problems::of(reader.problems)),
    }
}

/// What reading has found so far.
#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reader {
    /// Who may come in, and what they may do; `None` where the files do not say.
    fn part(&mut self, settings: &AccessSettings, keys: &Keys) -> Option<(Backends, RuleSet)> {
        let (dynamic_users, dynamic_rules) = match settings.mosquitto_dynamic_security_file.as_str() {
            "" => (None, None),
            file => self.dynamic_security(file).unzip(),
        };
        let backends = self.backends(settings, keys, dynamic_users);
        Some((backends, self.rules(settings, keys, dynamic_rules)?))
    }

    /// Those who may know a client: certificates, then files of users in their order, then anonymous clients.
    fn backends(&mut self, settings: &AccessSettings, keys: &Keys, others: Option<Backend>) -> Backends {
        let certificates = settings.certificate_name.field().map(|name| {
            let source = Arc::clone(&keys.certificate_name);
            Backend::Certificates(Certificates { name, listeners: Vec::new(), source })
        });
        let mut list: Vec<Backend> = certificates.into_iter().collect();
        list.extend(settings.users.iter().filter_map(|file| self.users(file)));
        if !settings.mosquitto_password_file.is_empty() {
            list.extend(self.mosquitto_users(&settings.mosquitto_password_file));
        }
        list.extend(others);
        list.push(anonymous(settings.anonymous, keys));
        Backends::new(list, remedy(settings))
    }

    fn users(&mut self, file: &str) -> Option<Backend> {
        let text = self.read_secret(file)?;
        match Users::parse(file, &text) {
            Ok(users) => Some(Backend::Users(Arc::new(users))),
            Err(errors) => {
                self.problems.extend(errors.iter().map(problem));
                None
            }
        }
    }

    /// What mosquitto passes over is passed over, and told.
    fn mosquitto_users(&mut self, file: &str) -> Option<Backend> {
        let text = self.read_secret(file)?;
        let (users, errors) = Users::parse_mosquitto(file, &text);
        self.warnings.extend(errors.iter().map(ToString::to_string));
        Some(Backend::Users(Arc::new(users)))
    }

    /// The rules, of which there is one file at most; `None` where they cannot be read. Those of the clients in
    /// `mosquitto_dynamic_security_file` have been read already.
    fn rules(
        &mut self,
        settings: &AccessSettings,
        keys: &Keys,
        of_clients: Option<RuleSet>,
    ) -> Option<RuleSet> {
        let files = [
            (keys.rules, &settings.rules),
            (keys.mosquitto_acl_file, &settings.mosquitto_acl_file),
            (keys.mosquitto_dynamic_security_file, &settings.mosquitto_dynamic_security_file),
        ];
        let named: Vec<_> = files.into_iter().filter(|(_, file)| !file.is_empty()).collect();
        match named[..] {
            [] => Some(match settings.without_rules {
                WithoutRules::FirstLevel => Access::unconfigured_rules(),
                WithoutRules::Everything => Access::no_rules(),
            }),
            [(key, file)] if key == keys.rules => self.own_rules(file),
            [(key, file)] if key == keys.mosquitto_acl_file => self.mosquitto_rules(file),
            [_] => of_clients,
            [(one, _), (other, file), ..] => {
                self.whole_file(file, format!("{one} and {other} are both set; keep one of them"));
                None
            }
        }
    }

    /// Users and their rules, as mosquitto's plugin has them.
    fn dynamic_security(&mut self, file: &str) -> Option<(Backend, RuleSet)> {
        let text = self.read_secret(file)?;
        match dynamic_security::parse_dynamic_security(file, &text) {
            Ok(read) => {
                self.warnings.extend(read.warnings.iter().map(ToString::to_string));
                let rules = self.rule_set(file, read.rules, "no role of the client is about it")?;
                Some((Backend::Users(Arc::new(read.users)), rules.foreign()))
            }
            Err(errors) => {
                self.problems.extend(errors.iter().map(problem));
                None
            }
        }
    }

    fn own_rules(&mut self, file: &str) -> Option<RuleSet> {
        let text = self.read(file)?;
        match rules::parse(file, &text) {
            Ok(rules) => self.rule_set(file, rules, "no rule is about it"),
            Err(errors) => {
                self.problems.extend(errors.iter().map(problem));
                None
            }
        }
    }

    fn mosquitto_rules(&mut self, file: &str) -> Option<RuleSet> {
        let text = self.read(file)?;
        match mosquitto::parse_acl(file, &text) {
            Ok(acl) => {
                self.warnings.extend(acl.warnings.iter().map(ToString::to_string));
                self.rule_set(file, acl.rules, "no line of the acl_file is about it").map(RuleSet::foreign)
            }
            Err(errors) => {
                self.problems.extend(errors.iter().map(problem));
                None
            }
        }
    }

    fn rule_set(&mut self, file: &str, rules: Vec<rules::Rule>, otherwise: &'static str) -> Option<RuleSet> {
        let otherwise = Decision { source: file.to_owned().into(), ..Decision::deny(otherwise, "") };
        RuleSet::new(rules, otherwise).map_err(|error| self.whole_file(file, error.to_string())).ok()
    }

    fn read_secret(&mut self, file: &str) -> Option<String> {
        match read_secret(Path::new(file)) {
            Ok(secret) => {
                self.warnings.extend(secret.warning);
                Some(secret.text)
            }
            Err(error) => {
                self.whole_file(file, error.to_string());
                None
            }
        }
    }

    fn read(&mut self, file: &str) -> Option<String> {
        let read = fs::read_to_string(file);
        read.map_err(|error| self.whole_file(file, format!("the file cannot be read: {error}"))).ok()
    }

    fn whole_file(&mut self, file: &str, message: String) {
        self.problems.push(Problem { place: Place::WholeFile(file.into()), message });
    }
}

fn anonymous(from: AnonymousClients, keys: &Keys) -> Backend {
    let from = match from {
        AnonymousClients::Never => AnonymousFrom::Nowhere,
        AnonymousClients::Loopback => AnonymousFrom::ThisMachine,
        AnonymousClients::Always => AnonymousFrom::Everywhere,
    };
    let source = Arc::clone(&keys.anonymous);
    Backend::Anonymous(Anonymous { from, listeners: Vec::new(), believes_names: true, source })
}

/// The command that lets in a client that was refused.
fn remedy(settings: &AccessSettings) -> String {
    match settings.users.first() {
        Some(file) => format!("`noctule passwd {file} NAME`, then reload (SIGHUP)"),
        None => "`noctule passwd users.txt NAME`, then restart with `--access-users users.txt`".to_owned(),
    }
}

fn problem(error: &FileError) -> Problem {
    let place =
        Place::File { path: (*error.file).into(), line: error.line as usize, column: error.column as usize };
    Problem { place, message: error.problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CertificateField;
    use noctule_auth::{Action, Address, Authority as _, Certificate, Credentials, Origin};

    fn origin(listener: &str) -> Origin {
        Origin { address: Address::parse("192.0.2.1"), listener: listener.into(), certificate: None }
    }

    #[test]
    fn tables_of_listeners_take_what_they_do_not_say_from_the_section() {
        let mut config = Config::default();
        config.access.users = vec!["all.users".into()];
        config.access.rules = "all.rules".into();
        config.access.attempts_per_minute_max.0 = 7;
        assert!(of_listeners(&config).is_empty(), "nothing differs");
        let listener = ListenerConfig::plain("tcp://127.0.0.1:1".parse().unwrap(), &config);
        let (mut open, mut own) = (listener.clone(), listener);
        open.anonymous = Some(AnonymousClients::Always);
        own.access.users = vec!["own.users".into()];
        let tables = [open, own].map(|table| table.own_access(&config.access).unwrap());
        assert_eq!(
            tables[0],
            AccessSettings { anonymous: AnonymousClients::Always, ..config.access.clone() }
        );
        let files = |settings: &AccessSettings| (settings.users.join(","), settings.rules.clone());
        assert_eq!(files(&tables[1]), ("own.users".into(), String::new()));
        assert_eq!(super::files(&config).collect::<Vec<_>>(), ["all.users", "all.rules"]);
    }

    #[test]
    fn a_decision_names_the_key_that_it_comes_from() {
        let listener = ListenerConfig::plain("tcp://127.0.0.1:1".parse().unwrap(), &Config::default());
        let named = |name: &str| ListenerConfig { name: name.to_owned(), ..listener.clone() };
        let open = ListenerConfig { anonymous: Some(AnonymousClients::Always), ..named("open") };
        let shut = ListenerConfig { anonymous: Some(AnonymousClients::Never), ..named("shut") };
        let shown = ListenerConfig { certificate_name: Some(CertificateField::CommonName), ..named("shown") };
        let config = Config { listener_tables: vec![open, shut, shown], ..Config::default() };
        let access = load(&config, 1).unwrap().access;
        let certificate = Certificate { common_name: Some("anna".into()), ..Certificate::default() };
        for (listener, address, certificate, allowed, source) in [
            ("open", "192.0.2.1", None, true, "listener.anonymous of open"),
            ("shut", "127.0.0.1", None, false, "listener.anonymous of shut"),
            ("shown", "192.0.2.1", Some(Arc::new(certificate)), true, "listener.certificate_name of shown"),
            ("shown", "127.0.0.1", None, true, "access.anonymous"),
            ("elsewhere", "127.0.0.1", None, true, "access.anonymous"),
            ("elsewhere", "192.0.2.1", None, false, "access.anonymous"),
        ] {
            let origin = Origin { address: Address::parse(address), listener: listener.into(), certificate };
            let (client_id, user_name, password) = ("c", None, None);
            let credentials = Credentials { client_id, user_name, password, address, origin: &origin };
            let decision = access.connect(&credentials);
            assert_eq!((decision.allowed, &*decision.source), (allowed, source), "{listener} {address}");
            assert_eq!(access.explain_connect(&credentials).decision.source, source);
            assert!(allowed || decision.refusal_cause().contains(source), "{}", decision.refusal_cause());
        }
    }

    #[test]
    fn a_listener_with_settings_of_its_own_has_no_others() {
        let open = AccessSettings {
            anonymous: AnonymousClients::Always,
            without_rules: WithoutRules::Everything,
            ..AccessSettings::default()
        };
        let settings = AccessSettings::default();
        let open = OfListener { name: "open".to_owned(), settings: open, keys: Keys::of_section() };
        let access = load_with(&settings, &[open], 3).unwrap().access;
        for (listener, allowed) in [("open", true), ("other", false), ("", false)] {
            let origin = origin(listener);
            let (client_id, user_name, password, address) = ("c", None, None, "192.0.2.1:1");
            let credentials = Credentials { client_id, user_name, password, address, origin: &origin };
            assert_eq!(access.connect(&credentials).allowed, allowed, "{listener}");
            let client = access.identity("c".into(), None, origin);
            let action = Action::Receive { topic: "$SYS/a" };
            assert_eq!(access.permit(&client, &action).allowed, allowed, "{listener}");
            assert_eq!(access.allows(&client, &action), allowed, "{listener}");
        }
        let rights = |listener| access.rights(&access.identity("c".into(), None, origin(listener)));
        assert_ne!(rights("open"), rights("other"), "they do not share what was accepted");
        assert_eq!(access.generation(), 3);
    }
}
