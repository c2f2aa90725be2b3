//! A progress bar on standard error while somebody watches; nothing at all otherwise.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar of the current phase.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    /// Begins a phase that is complete at `total`.
    pub(crate) fn begin(&mut self, phase: &str, total: u64) {
        self.bar.finish_and_clear();
        // The target hides the bar where standard error is no terminal.
        self.bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is a constant");
        self.bar.set_style(style);
        self.bar.set_message(phase.to_owned());
    }

    /// Says what is going on in a phase of several parts.
    pub(crate) fn name(&self, part: &str) {
        self.bar.set_message(part.to_owned());
    }

    pub(crate) fn set(&self, position: u64) {
        self.bar.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

const TEMPLATE: &str = "{msg:<10} [{bar:40}] {percent:>3} %  {elapsed_precise}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid() {
        let mut progress = Progress::new();
        progress.begin("test", 2);
        progress.set(1);
        assert_eq!(progress.bar.position(), 1);
    }
}
