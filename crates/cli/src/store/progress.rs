//! How far a long look has come: a bar on a terminal, lines elsewhere, nothing if it is a matter of a moment.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Tells how much is done.
pub(super) struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    due: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { bar: ProgressBar::hidden(), is_terminal, due: Instant::now() + INTERVAL }
    }

    /// So many bytes of so many are done.
    pub(super) fn show(&mut self, done: u64, all: u64) {
        if Instant::now() < self.due {
            return self.bar.set_position(done);
        }
        self.due = Instant::now() + INTERVAL;
        if self.is_terminal {
            self.show_bar(done, all);
        } else {
            let percent = (done * 100).checked_div(all).unwrap_or(100);
            // Without standard error there is nobody who waits.
            let _ = writeln!(io::stderr(), "{percent} % of {} MiB", all >> 20);
        }
    }

    fn show_bar(&mut self, done: u64, all: u64) {
        if self.bar.is_hidden() {
            self.bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(TEMPLATE).expect("the template is a constant");
            self.bar.set_style(style);
        }
        self.bar.set_length(all);
        self.bar.set_position(done);
    }
}

/// Nothing of it is left on the terminal.
impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Nothing is shown before this, and a line no more often.
const INTERVAL: Duration = Duration::from_secs(1);
const TEMPLATE: &str = "[{bar:40}] {bytes} of {total_bytes}  {elapsed_precise}";
