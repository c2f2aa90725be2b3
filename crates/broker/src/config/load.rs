//! From the sources to one [`Config`]: command line over environment over file over default.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use noctule_import::{Import, mosquitto};

use super::certificates::check_certificates;
use super::file::read_assignments;
use super::key::{CONFIG_VARIABLE, VARIABLE_PREFIX};
use super::kind::LISTEN_ALLOWED;
use super::listener::{LISTENER_KEYS, ListenerConfig};
use super::places::Places;
use super::raw::Raw;
use super::tables::{ListenerOrigins, resolve_tables};
use super::unknown::{misspelt_variable, unknown_key};
use super::{Config, KEYS, Key, Place, Problem, Problems, Value};

/// Where settings come from, beside the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file named on the command line. Without it the variable `NOCTULE_CONFIG` may name one; no file is
    /// read unless one of them does.
    pub file: Option<PathBuf>,
    /// A `mosquitto.conf` that is read instead of such a file.
    pub mosquitto: Option<PathBuf>,
    /// Environment variables; those that do not start with `NOCTULE_` are passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// What the command line sets.
    pub command_line: Vec<Argument>,
}

/// One setting of the command line.
#[derive(Clone, Debug)]
pub enum Argument {
    /// The flag of a key with its values; only a key that [takes several](Key::is_list) may have more than
    /// one.
    Flag(&'static Key, Vec<String>),
    /// `--set KEY=VALUE`, what follows `--set`.
    Set(String),
}

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What looks like a mistake but stops nothing.
    pub warnings: Vec<String>,
    /// One per key, in the order of [`KEYS`].
    origins: Vec<Origin>,
    /// Where the keys of the tables of listeners come from that are set, by their place in [`LISTENER_KEYS`].
    listener_origins: Vec<ListenerOrigins>,
    /// Where everything was set.
    pub(super) places: Places,
}

/// The effective value of a key.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// The key.
    pub key: &'static Key,
    /// Its value.
    pub value: Value,
    /// Where the value comes from.
    pub origin: &'a Origin,
}

/// The value of a key that the table of a listener sets.
#[derive(Clone, Debug)]
pub struct ListenerSetting<'a> {
    /// The key.
    pub key: &'static Key<ListenerConfig>,
    /// Its value.
    pub value: Value,
    /// Where the value comes from.
    pub origin: &'a Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// What another broker does when its file says nothing.
    Implied(PathBuf),
    /// An environment variable, by name.
    Environment(String),
    /// A flag of the command line, as it was written.
    CommandLine(String),
}

/// A key that is set somewhere.
pub(super) struct Assignment {
    /// Its index in [`KEYS`].
    pub(super) key: usize,
    pub(super) raw: Raw,
    pub(super) place: Place,
    /// The places of the elements of an array.
    pub(super) elements: Vec<Place>,
}

impl Assignment {
    /// Turns its places into those that they come from.
    fn name_imported(&mut self, import: &Import) {
        let places = std::iter::once(&mut self.place).chain(&mut self.elements);
        places.for_each(|place| name_imported(place, import));
    }
}

/// A `[[listener]]` of a file.
pub(super) struct Table {
    pub(super) place: Place,
    /// What it sets; the indices are those of [`LISTENER_KEYS`].
    pub(super) assignments: Vec<Assignment>,
}

/// Reads all sources and checks every value in them.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let mut findings = Findings::default();
    let file = findings.read_files(sources);
    findings.read_environment(&sources.environment);
    findings.read_command_line(&sources.command_line);
    findings.resolve(file)
}

/// Checks one file by itself, and the files that it names: users and rules, and certificates and keys at the time
/// `now`.
///
/// # Errors
/// Everything that is wrong with it, and then everything that is wrong with those.
pub fn check_file(path: &Path, now: SystemTime) -> Result<(), Problems> {
    check(path, Findings::read_file, now)
}

/// The same with a `mosquitto.conf`.
///
/// # Errors
/// As for a file of ours; a line that is refused is one of them where the broker does not start with it.
pub fn check_mosquitto_file(path: &Path, now: SystemTime) -> Result<(), Problems> {
    check(path, Findings::read_mosquitto, now)
}

fn check(path: &Path, read: impl FnOnce(&mut Findings, &Path), now: SystemTime) -> Result<(), Problems> {
    let mut findings = Findings::default();
    read(&mut findings, path);
    let loaded = findings.resolve(Some(path.into()))?;
    let mut problems = check_certificates(&loaded, now);
    problems.extend(crate::access::load(&loaded.config, 0).err().into_iter().flat_map(|found| found.0));
    Problems::none_or(problems)
}

impl Loaded {
    /// The effective value of every key, in the order of [`KEYS`].
    pub fn settings(&self) -> impl Iterator<Item = Setting<'_>> {
        KEYS.iter().zip(&self.origins).map(|(key, origin)| Setting {
            key,
            value: key.value(&self.config),
            origin,
        })
    }

    /// What each table of a listener sets, in the order of [`LISTENER_KEYS`].
    pub fn listener_settings(&self) -> impl Iterator<Item = Vec<ListenerSetting<'_>>> {
        let tables = self.config.listener_tables.iter().zip(&self.listener_origins);
        tables.map(|(listener, origins)| {
            let setting = |(key, origin)| {
                let key: &Key<ListenerConfig> = &LISTENER_KEYS[key];
                ListenerSetting { key, value: key.value(listener), origin }
            };
            origins.iter().map(|(key, origin)| setting((*key, origin))).collect()
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Implied(path) => write!(f, "{} (by default)", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::CommandLine(flag) => f.write_str(flag),
        }
    }
}

impl From<Place> for Origin {
    fn from(place: Place) -> Self {
        match place {
            Place::File { path, line, .. } => Self::File { path, line },
            Place::WholeFile(path) => Self::File { path, line: 1 },
            Place::Implied(path) => Self::Implied(path),
            Place::Environment(name) => Self::Environment(name),
            Place::CommandLine(flag) => Self::CommandLine(flag),
        }
    }
}

/// What reading the sources has found so far. Later assignments override earlier ones.
#[derive(Default)]
struct Findings {
    assignments: Vec<Assignment>,
    tables: Vec<Table>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Findings {
    /// Reads the one file that there may be.
    fn read_files(&mut self, sources: &Sources) -> Option<PathBuf> {
        if let Some(path) = &sources.mosquitto {
            self.read_mosquitto(path);
            return Some(path.clone());
        }
        let file = sources.file.clone().or_else(|| file_from_environment(&sources.environment))?;
        self.read_file(&file);
        Some(file)
    }

    /// Reads a `mosquitto.conf` as the file that it is translated to; its own lines are named.
    fn read_mosquitto(&mut self, path: &Path) {
        let import = mosquitto::import(path);
        for problem in &import.problems {
            self.problem(imported_place(&problem.place), problem.message.clone());
        }
        for entry in import.report.refused() {
            let message = format!("{:?} is refused: {}", entry.text, entry.note);
            match entry.is_vital {
                true => self.problem(imported_place(&entry.place), message),
                false => self.warnings.push(format!("{}: {message}", entry.place)),
            }
        }
        let Self { assignments, tables, problems, .. } = self;
        let (known, told) = (assignments.len(), problems.len());
        read_assignments(path, &import.toml, assignments, tables, problems);
        for Table { place, assignments } in tables {
            name_imported(place, &import);
            assignments.iter_mut().for_each(|assignment| assignment.name_imported(&import));
        }
        assignments[known..].iter_mut().for_each(|assignment| assignment.name_imported(&import));
        problems[told..].iter_mut().for_each(|problem| name_imported(&mut problem.place, &import));
    }

    fn read_file(&mut self, path: &Path) {
        match fs::read_to_string(path) {
            Ok(text) => {
                let Self { assignments, tables, problems, .. } = self;
                read_assignments(path, &text, assignments, tables, problems);
            }
            Err(error) => {
                self.problem(Place::WholeFile(path.into()), format!("the file cannot be read: {error}"));
            }
        }
    }

    fn read_environment(&mut self, environment: &[(OsString, OsString)]) {
        let mut variables: Vec<_> = environment
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value)))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX) && *name != CONFIG_VARIABLE)
            .collect();
        // The order of an environment means nothing; reports should not depend on it.
        variables.sort_unstable();
        for (name, value) in variables {
            self.read_variable(name, value);
        }
    }

    fn read_variable(&mut self, name: &str, value: &OsStr) {
        let place = Place::Environment(name.into());
        let Some(key) = KEYS.iter().position(|key| key.variable() == name) else {
            return self.unknown_variable(name, place);
        };
        match value.to_str() {
            // Service files and containers often pass on variables that nobody has filled in.
            Some("") => {}
            Some(text) => self.assign(key, Raw::Plain(text.into()), place),
            None => self.problem(place, "the value is not UTF-8".into()),
        }
    }

    /// A variable that is nearly a key is a mistake. Others may belong to somebody else: Kubernetes, for one,
    /// sets `NOCTULE_PORT` for a service named `noctule`.
    fn unknown_variable(&mut self, name: &str, place: Place) {
        match misspelt_variable(name) {
            Some(message) => self.problem(place, message),
            None => self.warnings.push(format!("{name} is no setting and has no effect")),
        }
    }

    fn read_command_line(&mut self, arguments: &[Argument]) {
        let first = self.assignments.len();
        for argument in arguments {
            match argument {
                Argument::Flag(key, values) => self.read_flag(key, values),
                Argument::Set(text) => self.read_set(text),
            }
        }
        self.find_repeated(first);
    }

    fn read_flag(&mut self, key: &Key, values: &[String]) {
        if let Some(index) = KEYS.iter().position(|known| known.name == key.name) {
            let place = Place::CommandLine(format!("--{}", key.flag_name()));
            self.assign(index, Raw::Plain(values.join(",")), place);
        }
    }

    fn read_set(&mut self, text: &str) {
        let Some((name, value)) = text.split_once('=') else {
            let message = "a value is missing; write --set KEY=VALUE".into();
            return self.problem(Place::CommandLine(format!("--set {text}")), message);
        };
        let name = name.trim();
        let place = Place::CommandLine(format!("--set {name}"));
        match KEYS.iter().position(|key| key.name == name) {
            Some(key) => self.assign(key, Raw::Plain(value.trim().into()), place),
            None => self.problem(place, unknown_key(name)),
        }
    }

    /// Two values on one command line leave open which one was meant.
    fn find_repeated(&mut self, first: usize) {
        let given = &self.assignments[first..];
        let repeated = given
            .iter()
            .enumerate()
            .filter(|(index, assignment)| given[..*index].iter().any(|other| other.key == assignment.key));
        self.problems.extend(repeated.map(|(_, assignment)| Problem {
            place: assignment.place.clone(),
            message: format!("{} is set twice on the command line", KEYS[assignment.key].name),
        }));
    }

    fn assign(&mut self, key: usize, raw: Raw, place: Place) {
        self.assignments.push(Assignment { key, raw, place, elements: Vec::new() });
    }

    fn problem(&mut self, place: Place, message: String) {
        self.problems.push(Problem { place, message });
    }

    /// Applies the assignments in their order; the last one of a key stays.
    fn resolve(mut self, file: Option<PathBuf>) -> Result<Loaded, Problems> {
        let mut config = Config::default();
        let mut origins = vec![Origin::Default; KEYS.len()];
        let (mut no_listeners, mut places) = (None, Places::default());
        for assignment in self.assignments {
            let key = &KEYS[assignment.key];
            places.note(None, key.name, &assignment);
            match key.assign(&mut config, &assignment) {
                Ok(()) => {
                    if key.name == "listen" {
                        no_listeners = config.listen.is_empty().then(|| assignment.place.clone());
                    }
                    origins[assignment.key] = assignment.place.into();
                }
                Err(problems) => self.problems.extend(problems),
            }
        }
        if let Some(place) = no_listeners.filter(|_| self.tables.is_empty()) {
            let message = format!("listen: found an array, allowed is {LISTEN_ALLOWED}");
            self.problems.push(Problem { place, message });
        }
        let listener_origins =
            resolve_tables(&mut config, self.tables, &origins, &mut places, &mut self.problems);
        let warnings = self.warnings;
        Problems::none_or(self.problems)?;
        Ok(Loaded { config, file, warnings, origins, listener_origins, places })
    }
}

/// Turns a place in the text that a file was translated to into the place it comes from.
fn name_imported(place: &mut Place, import: &Import) {
    let Place::File { line, .. } = place else { return };
    let origin = line.checked_sub(1).and_then(|index| import.origins.get(index)?.as_ref());
    *place = origin.map_or_else(|| Place::Implied(import.file.clone()), imported_place);
}

fn imported_place(place: &noctule_import::Place) -> Place {
    Place::File { path: place.file.to_path_buf(), line: place.line, column: 1 }
}

fn file_from_environment(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    let (_, path) = environment.iter().find(|(name, path)| name == CONFIG_VARIABLE && !path.is_empty())?;
    Some(path.into())
}
