//! A program in a terminal of tmux: keys are sent, the screen is captured. Whoever waits, waits for what it shows.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::noctule;

/// A terminal with one program in it; both end with the test.
pub(super) struct Terminal {
    folder: PathBuf,
    /// Its own, also within a folder: a server that was told to end may still be there.
    socket: String,
}

impl Terminal {
    /// Runs `noctule` with these words in a terminal of so many columns and lines. The exit code stands on the screen
    /// when it has ended.
    pub(super) fn new(folder: &Path, (width, height): (u16, u16), words: &[&str]) -> Self {
        let program = noctule(folder, &[]).get_program().to_string_lossy().into_owned();
        let quoted = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        // Ctrl-C is for the program, not for the shell.
        let script = format!(
            "trap : INT; env -i TERM=\"$TERM\" '{program}' {quoted}; echo \"ended with $?\"; exec cat"
        );
        Self::with(folder, (width, height), &script)
    }

    /// A terminal in which the shell runs a line.
    pub(super) fn with(folder: &Path, (width, height): (u16, u16), script: &str) -> Self {
        let number = TERMINALS.fetch_add(1, Ordering::Relaxed);
        let terminal = Self { folder: folder.to_owned(), socket: format!("tmux{number}.sock") };
        let (width, height) = (width.to_string(), height.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &width, "-y", &height, script]);
        terminal
    }

    /// Types keys by the names that tmux has for them.
    pub(super) fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", PANE], keys].concat());
    }

    pub(super) fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-t", PANE, "-x", &width, "-y", &height]);
    }

    /// The screen, line by line, without blanks at the ends.
    pub(super) fn screen(&self) -> Vec<String> {
        let captured = self.tmux(&["capture-pane", "-p", "-t", PANE]);
        String::from_utf8(captured.stdout)
            .expect("UTF-8")
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    /// The screen, once it is as wanted.
    pub(super) fn wait_for(&self, wanted: &str, is_it: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_it(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "{wanted} is not on the screen:\n{}", screen.join("\n"));
        }
    }

    /// The screen, once it has these words.
    pub(super) fn wait_for_text(&self, text: &str) -> Vec<String> {
        self.wait_for(text, |screen| screen.iter().any(|line| line.contains(text)))
    }

    fn tmux(&self, words: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        // A server of this test alone. The path of its socket may be no longer than about a hundred bytes.
        command.current_dir(&self.folder).env_remove("TMUX").env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh");
        command.args(["-u", "-S", &self.socket, "-f", "/dev/null"]).args(words);
        let output = command.output().expect("tmux is installed; cargo xtask setup does that");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.current_dir(&self.folder).args(["-S", &self.socket, "kill-server"]).output();
    }
}

/// How many there have been.
static TERMINALS: AtomicUsize = AtomicUsize::new(0);
/// The only one there is.
const PANE: &str = ":0.0";
/// How long a screen may take; only a failure takes it.
const PATIENCE: Duration = Duration::from_secs(30);
