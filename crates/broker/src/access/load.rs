//! From the section `[access]` to what is asked about clients.

use super::secrets::read_secret;
use crate::config::{AccessSettings, AnonymousClients, Config, Place, Problem, Problems, WithoutRules};
use noctule_auth::admission::{Anonymous, AnonymousFrom, Backend, Backends, Certificates};
use noctule_auth::rules::{self, RuleSet};
use noctule_auth::users::Users;
use noctule_auth::{Access, Decision, FileError, mosquitto};
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

/// Reads the files that the section `[access]` names. `generation` is given to no other content of them.
///
/// # Errors
/// Everything that is wrong in them, with file and line.
pub fn load(config: &Config, generation: u64) -> Result<Loaded, Problems> {
    load_with(&config.access, &[], generation)
}

/// The same with listeners, by name, for whose clients these settings hold and no others.
///
/// # Errors
/// Everything that is wrong in the files of all of them.
pub fn load_with(
    settings: &AccessSettings,
    listeners: &[(String, AccessSettings)],
    generation: u64,
) -> Result<Loaded, Problems> {
    let mut reader = Reader::default();
    let mut access = reader.part(settings).map(|(backends, rules)| Access::new(backends, rules, generation));
    for (name, settings) in listeners {
        let part = reader.part(settings);
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
    fn part(&mut self, settings: &AccessSettings) -> Option<(Backends, RuleSet)> {
        let backends = self.backends(settings);
        Some((backends, self.rules(settings)?))
    }

    /// Those who may know a client: certificates, then files of users in their order, then anonymous clients.
    fn backends(&mut self, settings: &AccessSettings) -> Backends {
        let certificates = settings.certificate_name.field().map(|name| {
            let source = "access.certificate_name".into();
            Backend::Certificates(Certificates { name, listeners: Vec::new(), source })
        });
        let mut list: Vec<Backend> = certificates.into_iter().collect();
        list.extend(settings.users.iter().filter_map(|file| self.users(file)));
        if !settings.mosquitto_password_file.is_empty() {
            list.extend(self.mosquitto_users(&settings.mosquitto_password_file));
        }
        list.extend(anonymous(settings.anonymous));
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

    /// The rules; `None` where they cannot be read.
    fn rules(&mut self, settings: &AccessSettings) -> Option<RuleSet> {
        match (settings.rules.as_str(), settings.mosquitto_acl_file.as_str()) {
            ("", "") => Some(match settings.without_rules {
                WithoutRules::FirstLevel => Access::unconfigured_rules(),
                WithoutRules::Everything => Access::no_rules(),
            }),
            (file, "") => self.own_rules(file),
            ("", file) => self.mosquitto_rules(file),
            (_, file) => {
                let message = "access.rules and access.mosquitto_acl_file are both set; keep one of them";
                self.problems.push(Problem { place: Place::WholeFile(file.into()), message: message.into() });
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
                self.rule_set(file, acl.rules, "no line of the acl_file is about it")
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

fn anonymous(from: AnonymousClients) -> Option<Backend> {
    let from = match from {
        AnonymousClients::Never => return None,
        AnonymousClients::Loopback => AnonymousFrom::ThisMachine,
        AnonymousClients::Always => AnonymousFrom::Everywhere,
    };
    let source = "access.anonymous".into();
    Some(Backend::Anonymous(Anonymous { from, listeners: Vec::new(), believes_names: true, source }))
}

/// The command that lets in a client that was refused.
fn remedy(settings: &AccessSettings) -> String {
    match settings.users.first() {
        Some(file) => format!("`noctule passwd {file} NAME`, then restart"),
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
    use noctule_auth::{Action, Address, Authority as _, Credentials, Origin};

    fn origin(listener: &str) -> Origin {
        Origin { address: Address::parse("192.0.2.1"), listener: listener.into(), certificate: None }
    }

    #[test]
    fn a_listener_with_settings_of_its_own_has_no_others() {
        let open = AccessSettings {
            anonymous: AnonymousClients::Always,
            without_rules: WithoutRules::Everything,
            ..AccessSettings::default()
        };
        let settings = AccessSettings::default();
        let access = load_with(&settings, &[("open".to_owned(), open)], 3).unwrap().access;
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
