//! Rules about the manifests: which crate may know which, and that every dependency is named once with its purpose.

use toml::{Table, Value};

use crate::assert_none;
use crate::files::{self, File};

/// The arrows of the house, from ground to roof: a crate and all it may depend on here.
///
/// `ARCHITECTURE.md` shows the same arrows. A new one is a design decision.
const ARROWS: &[(&str, &[&str])] = &[
    ("noctule-codec", &[]),
    ("noctule-topic", &[]),
    ("noctule-store", &[]),
    ("noctule-import", &[]),
    ("noctule-transport", &[]),
    ("noctule-session", &["noctule-codec", "noctule-topic"]),
    ("noctule-auth", &["noctule-codec", "noctule-topic"]),
    ("noctule-engine", &["noctule-auth", "noctule-codec", "noctule-session", "noctule-topic"]),
    (
        "noctule-broker",
        &[
            "noctule-auth",
            "noctule-codec",
            "noctule-engine",
            "noctule-import",
            "noctule-session",
            "noctule-store",
            "noctule-topic",
            "noctule-transport",
        ],
    ),
    ("noctule-client", &["noctule-codec", "noctule-session", "noctule-topic"]),
    ("noctule-probe", &["noctule-codec", "noctule-transport"]),
    ("noctule-tools", &["noctule-client", "noctule-codec", "noctule-topic"]),
    ("noctule", &["noctule-broker", "noctule-import", "noctule-probe", "noctule-tools"]),
    (
        "noctule-testkit",
        &[
            "noctule-auth",
            "noctule-broker",
            "noctule-codec",
            "noctule-engine",
            "noctule-session",
            "noctule-store",
            "noctule-topic",
        ],
    ),
    ("xtask", &["noctule-testkit"]),
];

/// The crates that decide and never touch the machine.
pub(crate) const PURE_CRATES: &[&str] = &["codec", "topic", "session", "auth", "engine"];

/// Libraries that bring in the machine: sockets, threads, clocks, runtimes.
const MACHINE_LIBRARIES: &[&str] =
    &["async-std", "crossbeam-channel", "mio", "parking_lot", "rustix", "signal-hook", "socket2", "tokio"];

const DEPENDENCY_TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

#[test]
fn arrows_are_those_of_the_house() {
    let mut violations = Vec::new();
    for member in members() {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == member.name()) else {
            violations.push(format!("{}: {} is not in the table of arrows", member.path, member.name()));
            continue;
        };
        for dependency in member.built_with().filter(|dependency| is_ours(dependency)) {
            if !allowed.contains(&dependency.as_str()) {
                violations.push(format!(
                    "{}: {} must not depend on {dependency}",
                    member.path,
                    member.name()
                ));
            }
        }
    }
    assert_none("Dependencies point from roof to ground only", &violations);
}

#[test]
fn crates_that_decide_use_no_machine_library() {
    let mut violations = Vec::new();
    for member in members().iter().filter(|member| member.is_pure()) {
        let machine =
            member.built_with().filter(|dependency| MACHINE_LIBRARIES.contains(&dependency.as_str()));
        violations.extend(machine.map(|dependency| format!("{}: {dependency}", member.path)));
    }
    assert_none("The crates that decide never touch the machine", &violations);
}

#[test]
fn members_take_everything_from_the_workspace() {
    let mut violations = Vec::new();
    for member in members() {
        for (name, value) in member.dependencies(DEPENDENCY_TABLES) {
            if value.get("workspace") != Some(&Value::Boolean(true)) {
                violations.push(format!("{}: {name} is not `workspace = true`", member.path));
            }
        }
        let lints = member.table.get("lints").and_then(|lints| lints.get("workspace"));
        if lints != Some(&Value::Boolean(true)) {
            violations.push(format!("{}: no `[lints] workspace = true`", member.path));
        }
    }
    assert_none("Versions and lints are named once, in the workspace manifest", &violations);
}

#[test]
fn each_dependency_says_what_it_is_for() {
    let workspace = workspace();
    let dependencies = workspace.table["workspace"]["dependencies"].as_table().expect("a table");
    let foreign = dependencies.iter().filter(|(_, value)| value.get("path").is_none());
    let unexplained = foreign.filter(|(name, _)| !is_explained(&workspace.text, name));
    let violations: Vec<String> = unexplained.map(|(name, _)| format!("Cargo.toml: {name}")).collect();
    assert_none("A workspace dependency ends with a `#` comment that says what it is for", &violations);
}

#[test]
fn crates_that_decide_share_one_clippy_file() {
    let all = files::all();
    let read = |folder: &str| {
        let path = format!("crates/{folder}/clippy.toml");
        all.iter().find(|file| file.path == path).map(|file| file.text.clone())
    };
    let first = read(PURE_CRATES[0]).expect("codec has a clippy.toml");
    let different = PURE_CRATES.iter().filter(|folder| read(folder).as_ref() != Some(&first));
    let violations: Vec<String> = different.map(|folder| format!("crates/{folder}/clippy.toml")).collect();
    assert_none("clippy.toml is the same in all crates that decide", &violations);
}

struct Manifest {
    path: String,
    text: String,
    table: Table,
}

impl Manifest {
    fn read(file: File) -> Self {
        let table = file.text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.path));
        Self { path: file.path, text: file.text, table }
    }

    fn name(&self) -> &str {
        self.table["package"]["name"].as_str().expect("cargo has checked it")
    }

    fn is_pure(&self) -> bool {
        PURE_CRATES.iter().any(|folder| self.path == format!("crates/{folder}/Cargo.toml"))
    }

    /// Names of what the crate itself needs; tests may use more, the testkit for one.
    fn built_with(&self) -> impl Iterator<Item = String> {
        self.dependencies(&["dependencies", "build-dependencies"]).into_iter().map(|(name, _)| name)
    }

    /// The entries of these tables, those under `[target.'…']` too.
    fn dependencies(&self, tables: &[&str]) -> Vec<(String, Value)> {
        let targets = self.table.get("target").and_then(Value::as_table);
        let targets = targets.into_iter().flat_map(|targets| targets.values().filter_map(Value::as_table));
        let mut found = Vec::new();
        for owner in std::iter::once(&self.table).chain(targets) {
            for table in tables.iter().filter_map(|name| owner.get(*name)?.as_table()) {
                found.extend(table.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        found
    }
}

fn workspace() -> Manifest {
    let file = files::all().into_iter().find(|file| file.path == "Cargo.toml");
    Manifest::read(file.expect("the repository has a workspace manifest"))
}

/// The manifests of the workspace's members.
fn members() -> Vec<Manifest> {
    let manifests = files::all().into_iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests
        .filter(|file| !OUTSIDE.iter().any(|folder| file.path.starts_with(folder)))
        .map(Manifest::read)
        .collect()
}

fn is_ours(name: &str) -> bool {
    name == "noctule" || name == "xtask" || name.starts_with("noctule-")
}

fn is_explained(manifest: &str, name: &str) -> bool {
    let mut lines = manifest.lines().filter(|line| line.split(['=', '.', ' ']).next() == Some(name));
    lines.any(|line| line.split_once(" # ").is_some_and(|(_, comment)| !comment.trim().is_empty()))
}

/// Packages of their own: one needs nightly, the other a library that nothing else here has a use for.
const OUTSIDE: [&str; 2] = ["fuzz/", "interop/client-throughput/"];
