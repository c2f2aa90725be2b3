//! `tidy`: rules about the whole repository that neither rustfmt nor clippy can express.
//!
//! Each test collects every line that breaks its rule and names file, line and rule, so one run shows all there is to
//! mend. A rule that is in the way is changed here, in a commit of its own that says why.

mod files;
mod manifests;
mod rust_text;
mod sources;
mod statements;
mod texts;

/// Fails with the whole list if anything broke the rule.
fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}
