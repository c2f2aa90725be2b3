//! Cargo tools the project uses, each pinned and built into the build folder so that nothing of the user's is touched.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::project::{self, Project};

/// Judges licences, banned crates and sources.
pub(crate) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
/// Builds and runs the fuzz targets.
pub(crate) const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

/// A program that `cargo install` can build.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

impl Tool {
    /// The program's path, after building it if this version is not there yet.
    ///
    /// The tools work for a second or two and are built on every fresh machine, so nothing is optimised: cargo-deny
    /// takes 70 s of processor time this way and 163 s with its own release profile.
    pub(crate) fn installed(&self, project: &Project) -> Result<PathBuf> {
        let root = project.tools().join(format!("{}-{}", self.name, self.version));
        let program = root.join("bin").join(self.name);
        if program.is_file() {
            return Ok(program);
        }
        println!("installing {} {}", self.name, self.version);
        let build = project.tools().join("build");
        let mut install =
            project.cargo(["install", self.name, "--locked", "--version", self.version, "--root"]);
        install.arg(&root);
        install.env("CARGO_TARGET_DIR", &build);
        install.env("CARGO_PROFILE_RELEASE_LTO", "off");
        install.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        project::run(&mut install)
            .with_context(|| format!("{} {} cannot be installed", self.name, self.version))?;
        fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
        Ok(program)
    }
}

/// True if cargo-deny has fetched its database of known vulnerabilities before.
pub(crate) fn has_advisory_database() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let entries = home.and_then(|home| fs::read_dir(home.join("advisory-dbs")).ok());
    entries.is_some_and(|mut entries| entries.next().is_some())
}
