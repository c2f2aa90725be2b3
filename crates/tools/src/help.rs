//! `--help`, from the table of flags, and what manual pages say beside that table.

use crate::flags::{Flag, Group, Takes};
use crate::program::{Program, Tool};
use std::fmt::Write as _;

/// Everything about a tool.
pub(crate) fn help(program: Program) -> String {
    let mut out = format!("{}.\n\nUsage: {} {}\n", program.about(), program.name(), usage(program.tool));
    out.push_str("\nExamples:\n");
    for (line, meaning) in examples(program.tool) {
        push(&mut out, format_args!("  {} {line}\n      {meaning}\n", program.name()));
    }
    for (group, heading) in Group::ALL {
        let flags: Vec<&Flag> = Flag::of(program.tool).filter(|flag| flag.group == group).collect();
        if !flags.is_empty() {
            push(&mut out, format_args!("\n{heading}:\n"));
            flags.into_iter().for_each(|flag| push_flag(flag, &mut out));
        }
    }
    if has_formats(program.tool) {
        push(&mut out, format_args!("\nFormats (-F):\n{FORMATS}"));
    }
    out.push_str("\nExit codes:\n");
    for (code, meaning) in exit_codes(program.tool) {
        push(&mut out, format_args!("  {code:<4} {meaning}\n"));
    }
    push(&mut out, format_args!("\n{}\n", files(program)));
    out
}

fn push_flag(flag: &Flag, out: &mut String) {
    let value = values(flag).iter().fold(String::new(), |all, value| format!("{all} {value}"));
    push(out, format_args!("  {}{value}\n      {}\n", names(flag).join(", "), flag.help));
    if !flag.also.is_empty() {
        push(out, format_args!("      Also: {}\n", flag.also.join(", ")));
    }
}

/// The names of a flag as they are shown: a letter comes first, whatever errors use.
pub fn names(flag: &Flag) -> Vec<&'static str> {
    let mut names = flag.names.to_vec();
    names.sort_by_key(|name| name.len());
    names
}

/// What the words behind a flag are called.
pub fn values(flag: &Flag) -> &[&'static str] {
    match &flag.takes {
        Takes::Word { called, .. } => std::slice::from_ref(called),
        Takes::Property => &["PACKET", "PROPERTY", "VALUE"],
        Takes::Nothing | Takes::Help | Takes::Version => &[],
    }
}

/// Writing to a string does not fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// The words that follow the name of the tool.
pub fn usage(tool: Tool) -> &'static str {
    match tool {
        Tool::Pub => "[-h HOST] -t TOPIC {-m TEXT | -f FILE | -s | -l | -n} [FLAGS]",
        Tool::Sub => "[-h HOST] -t FILTER [-t FILTER]... [FLAGS]",
        Tool::Request => "[-h HOST] -t TOPIC -e TOPIC {-m TEXT | -f FILE | -s | -n} [FLAGS]",
        Tool::Record => "FILE [-h HOST] [-t FILTER]... [FLAGS]",
        Tool::Replay => "FILE [-h HOST] [--speed FACTOR] [--map FROM=TO]... [FLAGS]",
        Tool::Spy => "[--listen ADDRESS] [--to URL] [FLAGS]",
        Tool::Tree | Tool::Top => "[-h HOST] [-t FILTER]... [FLAGS]",
    }
}

/// Words behind the name of the tool, and what they do.
pub fn examples(tool: Tool) -> &'static [(&'static str, &'static str)] {
    match tool {
        Tool::Pub => &[
            ("-t line1/temp -m 21.5", "One message to the broker on this machine."),
            (
                "-L mqtts://user:pw@broker.example/line1/temp -q 1 -r -m 21.5",
                "Over TLS, acknowledged, and kept by the broker.",
            ),
            ("-t log -l < file", "Each line of a file as a message."),
            ("-t a -m b -D publish content-type text/plain", "With a property of MQTT 5."),
        ],
        Tool::Sub => &[
            ("-t 'line1/#' -v", "Everything below line1, with topics."),
            ("-t line1/temp -C 1 -W 5", "One value, or exit code 27 after five seconds."),
            ("-t '#' -F '@H:@M:@S %t %p'", "The time, the topic and the payload."),
            ("-t '#' -F %J --pretty", "Messages whose payload is JSON, as JSON on several lines."),
            (
                "-t '#' --remove-retained --retained-only -W 2",
                "Clears everything that the broker has retained.",
            ),
        ],
        Tool::Request => &[
            ("-t pump/start -e pump/answers -m now -W 5", "Asks, and waits five seconds for the answer."),
            ("-t pump/start -e pump/answers -n --latency", "An empty request, and how long the answer took."),
        ],
        Tool::Record => &[
            ("day.jsonl", "Everything, until Ctrl-C."),
            ("line1.jsonl -t 'line1/#' -W 60", "What comes below line1 in one minute."),
            ("- -t line1/temp -C 10", "Ten values, to standard output."),
        ],
        Tool::Replay => &[
            ("day.jsonl", "At the pace at which it was recorded."),
            ("day.jsonl --speed 10", "Ten times as fast; --speed max as fast as it goes."),
            ("day.jsonl --map line1=test/line1", "What was below line1 to below test/line1."),
        ],
        Tool::Spy => &[
            ("--listen 1884 --to mqtt://localhost:1883", "What clients of port 1884 and the broker say."),
            (
                "--to mqtts://broker.example --payload-bytes 0",
                "Without TLS here, with TLS there, and no payloads.",
            ),
            ("--json > packets.jsonl", "For programs: an object for each packet."),
        ],
        Tool::Tree => &[
            ("", "Everything, live; q quits."),
            ("-t 'line1/#' --once -W 3", "What comes in three seconds, as text."),
            ("--json", "An object for each topic, after a second."),
        ],
        Tool::Top => &[
            ("", "All topics, the busiest first; q quits."),
            ("-t 'line1/#' --interval 5 --sort bytes", "The largest of five seconds first."),
            ("--json -C 3", "Three seconds as three objects."),
        ],
    }
}

/// Whether the tool prints messages by a format, so that [`FORMATS`] is about it.
pub fn has_formats(tool: Tool) -> bool {
    matches!(tool, Tool::Sub | Tool::Request)
}

/// The exit codes of a tool, and what they mean.
pub fn exit_codes(tool: Tool) -> Vec<(&'static str, &'static str)> {
    let mut codes = vec![("0", "all went well"), ("1", "the command line is wrong, or something failed")];
    if has_formats(tool) {
        codes.extend([("27", "-W is over"), ("255", "it was ended before the broker had answered")]);
    }
    if matches!(tool, Tool::Tree | Tool::Top) {
        codes.push(("27", "-W was over before the broker had answered"));
    }
    if tool != Tool::Spy {
        codes.extend([
            ("2", "the broker broke a rule of MQTT"),
            ("7", "the connection was lost"),
            ("8", "TLS was not agreed on"),
            ("11", "the broker asks for a method of authentication"),
            ("16", "the proxy gave no way"),
            ("else", "the code with which the broker refused: 5 or 135 not authorized"),
        ]);
    }
    codes
}

/// The letters of a format, as a table for a terminal.
pub const FORMATS: &str = "\
  %t topic       %p payload          %x %X payload in hexadecimal    %l its length
  %q QoS         %r retain flag      %m packet identifier            %f %d payload as binary float, double
  %j JSON        %J JSON with a payload that is JSON itself          %% percent sign
  %A topic alias            %C content type       %D correlation data     %E message expiry interval
  %F payload format         %P user properties    %R response topic       %S subscription identifier
  %I date and time (ISO 8601)       %U seconds since 1970 with nanoseconds
  @X letter X of strftime           @N nanoseconds      @@ at sign
  \\n \\r \\t \\v \\a \\e \\0 \\\\            line end, return, tabs, bell, escape, zero, backslash
  Between % and its letter: - to the left, 0 padded with zeros, a width, .N cut at N bytes: %-20.20t
";

/// Where flags can stand beside the command line.
pub fn files(program: Program) -> String {
    let names = program.options_files().join(" and in ");
    format!("Flags can also stand in $XDG_CONFIG_HOME or ~/.config, one a line: in {names}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_a_tool_is_shown_and_examples_are_right() {
        for tool in Tool::ALL {
            let text = help(Program { tool, is_linked: false });
            for flag in Flag::of(tool) {
                assert!(flag.all_names().all(|name| text.contains(name)), "{:?}", flag.names);
            }
            for (line, _) in examples(tool) {
                let line = line.split(['<', '>']).next().unwrap_or(line).replace('\'', "");
                let words: Vec<Vec<u8>> =
                    line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
                let mut settings = crate::settings::Settings::new(tool);
                // The format has blanks, which the shell would keep together.
                let is_split = line.contains("-F @");
                assert!(is_split || crate::parse::take(&words, &mut settings).is_ok(), "{line}");
            }
        }
    }
}
