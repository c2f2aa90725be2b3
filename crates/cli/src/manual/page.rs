//! The page of a command that clap parses.

use clap::builder::PossibleValue;
use clap::{Arg, Command};
use roff::{Inline, Roff, bold, italic, roman};

use super::SECTION;

/// The page, as text for `man`.
pub(super) fn page(command: &Command, name: &str) -> String {
    let mut page = begin(name, &[name], &text(command.get_about()));
    synopsis(command, &mut page);
    description(command, &mut page);
    options(command, &mut page);
    commands(command, name, &mut page);
    if let Some(more) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        section("MORE", &mut page);
        verbatim(&more.to_string(), &mut page);
    }
    end(name, &mut page)
}

/// Title and name.
pub(super) fn begin(name: &str, names: &[&str], about: &str) -> Roff {
    let mut page = Roff::new();
    let version = concat!("noctule ", env!("CARGO_PKG_VERSION"));
    // The date is left blank: it would be that of the build.
    page.control("TH", [&*name.to_uppercase(), SECTION, " ", version, "noctule manual"]);
    section("NAME", &mut page);
    page.text([roman(format!("{} - {about}", names.join(", ")))]);
    page
}

/// Where else to look, and the text of the whole.
pub(super) fn end(name: &str, page: &mut Roff) -> String {
    if name != "noctule" {
        section("SEE ALSO", page);
        page.text([bold("noctule"), roman(format!("({SECTION})"))]);
    }
    page.render()
}

pub(super) fn section(title: &str, page: &mut Roff) {
    page.control("SH", [title]);
}

/// An entry of a list: what it is called, and what it is.
pub(super) fn entry(called: Vec<Inline>, meaning: &str, page: &mut Roff) {
    page.control("TP", []);
    page.text(called);
    paragraphs(meaning, "IP", page);
}

/// Lines as they stand.
pub(super) fn verbatim(lines: &str, page: &mut Roff) {
    page.control("nf", []);
    for line in lines.lines() {
        match line.trim_end() {
            "" => page.control("sp", []),
            line => page.text([roman(line)]),
        };
    }
    page.control("fi", []);
}

/// Text in which an empty line begins a paragraph.
fn paragraphs(text: &str, between: &str, page: &mut Roff) {
    for (number, paragraph) in text.split("\n\n").map(str::trim).filter(|text| !text.is_empty()).enumerate() {
        if number > 0 {
            page.control(between, []);
        }
        let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
        page.text([roman(lines.join(" "))]);
    }
}

fn synopsis(command: &Command, page: &mut Roff) {
    section("SYNOPSIS", page);
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage:").unwrap_or(&usage);
    verbatim(&usage.lines().map(str::trim).collect::<Vec<_>>().join("\n"), page);
}

fn description(command: &Command, page: &mut Roff) {
    section("DESCRIPTION", page);
    let about = text(command.get_long_about().or_else(|| command.get_about()));
    let stop = if about.ends_with(['.', '?']) { "" } else { "." };
    paragraphs(&format!("{about}{stop}"), "PP", page);
}

fn options(command: &Command, page: &mut Roff) {
    let arguments: Vec<&Arg> = command.get_arguments().filter(|argument| !argument.is_hide_set()).collect();
    if arguments.is_empty() {
        return;
    }
    section("OPTIONS", page);
    for argument in arguments {
        entry(called(argument), &meaning(argument), page);
    }
}

fn called(argument: &Arg) -> Vec<Inline> {
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let mut called = vec![bold(names.join(", "))];
    if argument.get_action().takes_values() {
        for value in argument.get_value_names().unwrap_or_default() {
            called.extend([roman(" "), italic(value.as_str())]);
        }
    }
    // What has no name of its own begins with what it is called.
    called.into_iter().skip(if argument.is_positional() { 2 } else { 0 }).collect()
}

fn meaning(argument: &Arg) -> String {
    let mut meaning = text(argument.get_long_help().or_else(|| argument.get_help()));
    if argument.get_action().takes_values() {
        let values = argument.get_possible_values();
        meaning += &list("possible values", values.iter().map(PossibleValue::get_name));
        meaning += &list("default", argument.get_default_values().iter().filter_map(|value| value.to_str()));
    }
    meaning
}

/// ` [title: one, two]`, or nothing where there is nothing.
fn list<'a>(title: &str, items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<&str> = items.filter(|item| !item.is_empty()).collect();
    if items.is_empty() { String::new() } else { format!(" [{title}: {}]", items.join(", ")) }
}

fn commands(command: &Command, name: &str, page: &mut Roff) {
    let commands: Vec<&Command> =
        command.get_subcommands().filter(|command| command.get_name() != super::HELP).collect();
    if commands.is_empty() {
        return;
    }
    section("COMMANDS", page);
    for command in commands {
        let called = vec![bold(format!("{name}-{}", command.get_name())), roman(format!("({SECTION})"))];
        entry(called, &text(command.get_about()), page);
    }
}

fn text(styled: Option<&impl ToString>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}
