//! `cargo xtask setup`: installs the strangers our broker is tested against, each only when it is missing.
//!
//! Programs with a Debian package come from there. Python and JavaScript clients come in pinned versions (the files in
//! `xtask/peers`) and go to the build folder, so they vanish with it and nothing of the user's is touched. A peer that
//! cannot be had is an error: a test that silently did not run proves nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::project::{Project, run, succeeds};

/// Programs the tests call, with the Debian package that brings each.
const PROGRAMS: &[(&str, &str)] = &[
    ("mosquitto", "mosquitto"),
    ("mosquitto_pub", "mosquitto-clients"),
    ("paho_c_pub", "paho.mqtt.c-examples"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("strace", "strace"),
    ("openssl", "openssl"),
    ("chromium", "chromium"),
    ("tmux", "tmux"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("mandoc", "mandoc"),
];

/// Folders of the build folder's `peers`, with the pinned requirements each is made from.
const PYTHON_ENVIRONMENTS: &[(&str, &str)] =
    &[("paho1", "xtask/peers/python-paho1.txt"), ("paho2", "xtask/peers/python-paho2.txt")];

/// Holds the pinned `package.json` and `package-lock.json`.
const NODE_PACKAGES: &str = "xtask/peers/node";

/// What the benchmark compares with.
pub(crate) const MOSQUITTO: &[(&str, &str)] = &[("mosquitto", "mosquitto")];

/// What counts instructions.
pub(crate) const VALGRIND: &[(&str, &str)] = &[("valgrind", "valgrind")];

/// Makes everything the tests talk to available, and says what it had to install.
pub(crate) fn install_missing(project: &Project) -> Result<()> {
    install_programs(project, PROGRAMS)?;
    for (name, requirements) in PYTHON_ENVIRONMENTS {
        install_python_environment(project, name, &project.path(requirements))?;
    }
    install_node_packages(project)?;
    println!("all peers are there");
    Ok(())
}

/// Installs the Debian packages of the programs that are not there.
pub(crate) fn install_programs(project: &Project, programs: &[(&str, &'static str)]) -> Result<()> {
    let packages = missing_packages(project, programs);
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    ensure!(
        find_program("apt-get").is_some(),
        "programs are missing; in Debian they come from these packages: {list}"
    );
    ensure!(is_root(project), "programs are missing; run as root: apt-get update && apt-get install {list}");

    println!("installing Debian packages: {list}");
    let _no_services = ServicesHeld::new()?;
    run(apt_get(project).arg("update"))?;
    run(apt_get(project).args(["install", "--yes", "--no-install-recommends"]).args(&packages))?;
    if packages.contains(&"mosquitto") {
        keep_mosquitto_from_starting(project)?;
    }

    let still_missing = missing_packages(project, programs);
    ensure!(still_missing.is_empty(), "installed but still not found: {}", still_missing.join(" "));
    Ok(())
}

fn missing_packages(project: &Project, programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    let missing = programs.iter().filter(|(program, _)| find_program(program).is_none());
    let mut packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    // Debian's python3 can lack the parts that make virtual environments.
    let needs_python = programs.iter().any(|(program, _)| *program == "python3");
    if needs_python && !succeeds(project.command("python3").args(["-c", "import ensurepip, venv"])) {
        packages.push("python3-venv");
    }
    packages
}

fn apt_get(project: &Project) -> std::process::Command {
    let mut command = project.command("apt-get");
    command.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Under systemd the package is enabled for the next start of the machine, where it would take port 1883.
fn keep_mosquitto_from_starting(project: &Project) -> Result<()> {
    if Path::new("/run/systemd/system").is_dir() {
        run(project.command("systemctl").args(["disable", "--now", "mosquitto"]))?;
    }
    Ok(())
}

/// While this lives, installing a package does not start its services, by Debian's own means: `policy-rc.d` says no.
struct ServicesHeld {
    policy: Option<&'static Path>,
}

impl ServicesHeld {
    fn new() -> Result<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self { policy: None });
        }
        fs::write(policy, "#!/bin/sh\nexit 101\n").context("cannot write policy-rc.d")?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))
            .context("cannot make policy-rc.d executable")?;
        Ok(Self { policy: Some(policy) })
    }
}

impl Drop for ServicesHeld {
    fn drop(&mut self) {
        if let Some(policy) = self.policy
            && let Err(error) = fs::remove_file(policy)
        {
            println!("remove {} by hand: {error}", policy.display());
        }
    }
}

fn install_python_environment(project: &Project, name: &str, requirements: &Path) -> Result<()> {
    let folder = project.peers().join(name);
    let stamp = Stamp::new(&folder, requirements)?;
    if stamp.is_current() {
        return Ok(());
    }
    println!("installing Python packages: {name}");
    clear(&folder)?;
    run(project.command("python3").args(["-m", "venv"]).arg(&folder))?;
    let pip = folder.join("bin/pip");
    run(project.command(pip).args(["install", "--quiet", "--requirement"]).arg(requirements))?;
    stamp.write()
}

fn install_node_packages(project: &Project) -> Result<()> {
    let pinned = project.path(NODE_PACKAGES);
    let folder = project.peers().join("node");
    let stamp = Stamp::new(&folder, &pinned.join("package-lock.json"))?;
    if stamp.is_current() {
        return Ok(());
    }
    println!("installing JavaScript packages");
    clear(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        let (from, to) = (pinned.join(file), folder.join(file));
        fs::copy(&from, &to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    let quiet = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    run(project.command("npm").args(quiet).current_dir(&folder))?;
    stamp.write()
}

/// Says whether a folder holds what a file of pinned versions asks for: written last, it is a copy of that file.
struct Stamp {
    path: PathBuf,
    wanted: String,
}

impl Stamp {
    fn new(folder: &Path, pinned: &Path) -> Result<Self> {
        let wanted =
            fs::read_to_string(pinned).with_context(|| format!("cannot read {}", pinned.display()))?;
        Ok(Self { path: folder.join("installed"), wanted })
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|installed| installed == self.wanted)
    }

    fn write(&self) -> Result<()> {
        fs::write(&self.path, &self.wanted).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Leaves an empty folder, whatever half-finished work was there.
fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// Looks on the path and where Debian puts servers, which is not on every user's path.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

fn is_root(project: &Project) -> bool {
    project.command("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}
