//! The page of a tool, from the table of its flags.

use noctule_tools::flags::{Flag, Group};
use noctule_tools::{Program, help};
use roff::{Inline, Roff, bold, italic, roman};

use super::page::{begin, end, entry, section, verbatim};

/// The page, as text for `man`.
pub(super) fn page(program: Program) -> String {
    let name = program.name().replace(' ', "-");
    let names: Vec<&str> = [&*name].into_iter().chain(program.linked_name()).collect();
    let mut page = begin(&name, &names, program.about());
    section("SYNOPSIS", &mut page);
    page.text([bold(program.name()), roman(format!(" {}", help::usage(program.tool)))]);
    section("DESCRIPTION", &mut page);
    page.text([roman(format!("{}. {}", program.about(), help::files(program)))]);
    options(program, &mut page);
    if help::has_formats(program.tool) {
        section("FORMATS", &mut page);
        verbatim(help::FORMATS, &mut page);
    }
    exit_codes(program, &mut page);
    examples(program, &mut page);
    end(&name, &mut page)
}

fn options(program: Program, page: &mut Roff) {
    section("OPTIONS", page);
    for (group, heading) in Group::ALL {
        let mut flags = Flag::of(program.tool).filter(|flag| flag.group == group).peekable();
        if flags.peek().is_some() {
            page.control("SS", [heading]);
            flags.for_each(|flag| entry(called(flag), &meaning(flag), page));
        }
    }
}

fn called(flag: &Flag) -> Vec<Inline> {
    let values = help::values(flag).iter().flat_map(|value| [roman(" "), italic(*value)]);
    [bold(help::names(flag).join(", "))].into_iter().chain(values).collect()
}

fn meaning(flag: &Flag) -> String {
    match flag.also {
        [] => flag.help.to_owned(),
        also => format!("{} Also: {}.", flag.help, also.join(", ")),
    }
}

fn exit_codes(program: Program, page: &mut Roff) {
    section("EXIT STATUS", page);
    for (code, meaning) in help::exit_codes(program.tool) {
        entry(vec![bold(code)], meaning, page);
    }
}

fn examples(program: Program, page: &mut Roff) {
    section("EXAMPLES", page);
    for (line, meaning) in help::examples(program.tool) {
        entry(vec![bold(format!("{} {line}", program.name()).trim_end())], meaning, page);
    }
}
