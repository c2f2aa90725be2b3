//! The broker as a child process: started, killed, started again on the same data.
//!
//! It runs in a process group of its own, and SIGKILL goes to the whole group, so that a broker behind a script dies
//! with it. Whatever happens to the trial, the group does not outlive this value.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::dice::Dice;
use super::error::ProveError;
use super::options::BrokerCommand;
use super::place::Workplace;

/// A broker that can be started.
#[derive(Debug)]
pub(crate) struct Broker {
    command: BrokerCommand,
    workplace: Workplace,
    /// Where it is told to listen, if that does not change.
    port: Option<u16>,
    /// Chooses ports. Trials that have the same seed may run side by side, so it has one of its own.
    ports: Dice,
    child: Option<Child>,
}

impl Broker {
    pub(crate) fn new(command: BrokerCommand, workplace: Workplace, port: Option<u16>) -> Self {
        let ports = Dice::new(RandomState::new().build_hasher().finish());
        Self { command, workplace, port, ports, child: None }
    }

    pub(crate) fn workplace(&self) -> &Workplace {
        &self.workplace
    }

    /// Starts it on its data and returns where it will listen, which it need not do yet.
    pub(crate) fn start(&mut self) -> Result<SocketAddr, ProveError> {
        let port = match self.port {
            Some(port) => port,
            None => free_port(&mut self.ports)?,
        };
        if let Some(config) = &self.command.config {
            let path = self.workplace.config();
            let text = self.filled(config, port);
            fs::write(&path, text).map_err(place_error("write", &path))?;
        }
        let words: Vec<String> = self.command.words.iter().map(|word| self.filled(word, port)).collect();
        let (program, arguments) = words.split_first().expect("a command has a program");
        let log = self.open_log()?;
        let errors = log.try_clone()?;
        let mut command = Command::new(program);
        command.args(arguments).process_group(0).env("PATH", search_path());
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn();
        let spawn_error = |source| ProveError::Spawn { program: program.clone(), source };
        self.child = Some(child.map_err(spawn_error)?);
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// How it ended, if it ended by itself since it was started.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// Kills it and whatever it has started with SIGKILL, and waits until they are gone.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let group = Pid::from_child(&child);
        // A group that is gone already is what is wanted.
        let _ = kill_process_group(group, Signal::KILL);
        let _ = child.wait();
        let patience = Instant::now() + GROUP_PATIENCE;
        while test_kill_process_group(group).is_ok() && Instant::now() < patience {
            thread::yield_now();
        }
    }

    /// The last lines of what it printed.
    pub(crate) fn log_tail(&self) -> String {
        let bytes = fs::read(self.workplace.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n")
    }

    fn filled(&self, text: &str, port: u16) -> String {
        let path = |path: &Path| path.display().to_string();
        text.replace("{port}", &port.to_string())
            .replace("{dir}", &path(&self.workplace.data()))
            .replace("{config}", &path(&self.workplace.config()))
    }

    fn open_log(&self) -> Result<File, ProveError> {
        let path = self.workplace.log();
        File::options().create(true).append(true).open(&path).map_err(place_error("open", &path))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where programs are looked for: brokers are often installed where only root looks.
fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin");
    path
}

fn place_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProveError {
    let path = path.to_owned();
    move |source| ProveError::Place { action, path, source }
}

/// A port that nobody listens on. It lies below those that the kernel gives to connections, which could take it between
/// a kill and the next start.
fn free_port(dice: &mut Dice) -> Result<u16, ProveError> {
    let count = u64::from(PORTS.end - PORTS.start);
    let tries = (0..PORT_TRIES_MAX).map(|_| PORTS.start + dice.below(count) as u16);
    let mut free = tries.filter(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    free.next().ok_or(ProveError::NoPort(PORTS))
}

const PORTS: std::ops::Range<u16> = 20_000..32_768;
const PORT_TRIES_MAX: usize = 100;

const LOG_LINES_MAX: usize = 10;

/// Killed processes are gone in much less. One whose parent does not fetch its status stays in the list for ever, but
/// has no sockets and files any more.
const GROUP_PATIENCE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn folder() -> TempDir {
        tempfile::tempdir().expect("a writable folder")
    }

    fn broker(parent: &TempDir, command: &str, config: Option<&str>) -> Broker {
        let workplace = Workplace::make(parent.path(), 1, false).expect("a writable folder");
        let command = BrokerCommand::parse(command).expect("a command");
        Broker::new(BrokerCommand { config: config.map(str::to_owned), ..command }, workplace, Some(1234))
    }

    /// Waits until the program has ended; it does so at once.
    fn end(broker: &mut Broker) -> ExitStatus {
        let child = broker.child.as_mut().expect("it was started");
        child.wait().expect("a child of ours");
        broker.ended().expect("it has ended")
    }

    #[test]
    fn placeholders_are_filled_in_words_and_configuration() {
        let config = "port {port}\ndata {dir}/\n";
        let folder = folder();
        let mut broker = broker(&folder, "sh -c 'echo {port} {dir}; cat {config}; exit 7'", Some(config));
        let address = broker.start().expect("a shell");
        assert_eq!(address, "127.0.0.1:1234".parse().expect("an address"));
        assert_eq!(end(&mut broker).code(), Some(7));
        let data = broker.workplace.data().display().to_string();
        assert_eq!(broker.log_tail(), format!("1234 {data}\nport 1234\ndata {data}/"));
    }

    #[test]
    fn a_kill_reaches_what_the_program_has_started() {
        let folder = folder();
        let mut broker = broker(&folder, "sh -c 'sleep 600 & echo $!; sleep 600'", None);
        broker.start().expect("a shell");
        let pid = loop {
            if let Ok(pid) = broker.log_tail().trim().parse::<i32>() {
                break pid;
            }
            thread::yield_now();
        };
        broker.kill();
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_that_names_it() {
        let folder = folder();
        let mut broker = broker(&folder, "no-such-program-of-ours", None);
        let text = broker.start().expect_err("no such program").to_string();
        assert!(text.contains("no-such-program-of-ours") && text.contains("--broker"), "{text}");
    }

    #[test]
    fn ports_are_free_and_below_those_of_connections() {
        let mut dice = Dice::new(3);
        let port = free_port(&mut dice).expect("one of many");
        assert!(PORTS.contains(&port));
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it is free");
    }
}
