//! Messages on standard output.

use crate::format::{Format, Shown};
use crate::settings::{RANDOM_FILTER_ALL, Settings};
use crate::world::World;
use noctule_client::machine::Delivery;
use noctule_codec::PacketId;
use std::collections::HashMap;
use std::io::{self, Write as _};

/// Prints messages as the settings say.
#[derive(Debug)]
pub(crate) struct Printer {
    style: Style,
    end_of_line: bool,
    is_pretty: bool,
    is_quiet: bool,
    /// In tenths of a percent.
    chance: u32,
    /// The lines of topics, where each has its own.
    lines: Option<HashMap<String, usize>>,
}

#[derive(Debug)]
enum Style {
    Payload,
    TopicAndPayload,
    Format(Format),
}

impl Printer {
    pub(crate) fn new(settings: &Settings) -> Self {
        let style = match &settings.format {
            Some(format) => Style::Format(format.clone()),
            None if settings.verbose => Style::TopicAndPayload,
            None => Style::Payload,
        };
        Self {
            style,
            end_of_line: settings.end_of_line,
            is_pretty: settings.pretty,
            is_quiet: settings.quiet,
            chance: settings.random_filter,
            lines: (settings.watch && !settings.message_rate).then(HashMap::new),
        }
    }

    /// Clears the screen, where topics have their lines on it.
    pub(crate) fn begin(&self, host: &str, world: &mut World) -> io::Result<()> {
        match self.lines {
            Some(_) => writeln!(world.stdout, "\x1B[2J\x1B[1;1HBroker: {host}"),
            None => Ok(()),
        }
    }

    /// Prints a message, as a whole and at once.
    ///
    /// # Errors
    /// Standard output takes nothing any more.
    pub(crate) fn print(&mut self, message: &Delivery, world: &mut World) -> io::Result<()> {
        if self.chance < RANDOM_FILTER_ALL
            && (world.random)() % u64::from(RANDOM_FILTER_ALL) >= self.chance.into()
        {
            return Ok(());
        }
        let mut out = Vec::new();
        if let Some(lines) = &mut self.lines {
            let line = line_of(&message.topic, lines);
            out.extend(format!("\x1B[{line};1H\x1B[K").into_bytes());
        }
        self.write(message, world, &mut out);
        if let Some(lines) = &self.lines {
            out.extend(format!("\x1B[{};1H\n", lines.len() + FIRST_LINE - 1).into_bytes());
        }
        world.stdout.write_all(&out)?;
        world.stdout.flush()
    }

    fn write(&self, message: &Delivery, world: &mut World, out: &mut Vec<u8>) {
        let is_empty = message.payload.is_empty();
        match &self.style {
            Style::Format(format) => {
                let shown = shown(message);
                let unprintable = format.write(&shown, &(world.now)(), self.is_pretty, out).err();
                if let Some(unprintable) = unprintable.filter(|_| !self.is_quiet) {
                    world.complain(&unprintable.to_string());
                }
            }
            // An empty message is nothing, or a word where topics are shown and lines end.
            Style::Payload if is_empty => return,
            Style::TopicAndPayload if is_empty && !self.end_of_line => return,
            Style::TopicAndPayload if is_empty => {
                out.extend(format!("{} (null)", message.topic).into_bytes());
            }
            Style::Payload => out.extend_from_slice(&message.payload),
            Style::TopicAndPayload => {
                out.extend(format!("{} ", message.topic).into_bytes());
                out.extend_from_slice(&message.payload);
            }
        }
        if self.end_of_line {
            out.push(b'\n');
        }
    }
}

/// The line of a topic. When all are taken, further topics share the last one.
fn line_of(topic: &str, lines: &mut HashMap<String, usize>) -> usize {
    if let Some(line) = lines.get(topic) {
        return *line;
    }
    if lines.len() >= LINES_MAX {
        return LINES_MAX + FIRST_LINE - 1;
    }
    let next = lines.len() + FIRST_LINE;
    lines.insert(topic.to_owned(), next);
    next
}

fn shown(message: &Delivery) -> Shown<'_> {
    Shown {
        topic: &message.topic,
        payload: &message.payload,
        qos: message.qos as u8,
        retain: message.retain,
        packet_id: message.packet_id.map_or(0, PacketId::get),
        properties: &message.properties,
    }
}

/// The line of the first topic on the screen; the broker has the one above.
const FIRST_LINE: usize = 2;
/// More lines than a terminal has.
const LINES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_their_lines_as_long_as_there_are_any() {
        let mut lines = HashMap::new();
        assert_eq!(["a", "b", "a"].map(|topic| line_of(topic, &mut lines)), [2, 3, 2]);
        for number in 0..LINES_MAX {
            line_of(&number.to_string(), &mut lines);
        }
        assert_eq!((line_of("another", &mut lines), line_of("b", &mut lines)), (LINES_MAX + 1, 3));
        assert_eq!(lines.len(), LINES_MAX);
    }
}
