//! Options files: a flag and its value on each line, in the folder of the user's configuration.

use crate::flags::{Flag, Takes, Wrong};
use crate::parse::{Stop, take};
use crate::program::Program;
use crate::settings::Settings;
use crate::world::World;
use std::fs;
use std::path::{Path, PathBuf};

/// The lines that count for this command line, as words: those of the file that `-o` names, else those of the files in
/// `$XDG_CONFIG_HOME` or `$HOME/.config` that are there.
pub(crate) fn lines(program: Program, words: &[Vec<u8>], world: &World) -> Result<Vec<Vec<Vec<u8>>>, Stop> {
    if let Some(path) = named(program, words) {
        let content = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        return Ok(split(program, &content));
    }
    let Some(folder) = folder(world) else { return Ok(Vec::new()) };
    let files = program.options_files().into_iter().filter_map(|name| fs::read(folder.join(name)).ok());
    Ok(files.flat_map(|content| split(program, &content)).collect())
}

/// The file behind `-o`, the last one of several. What is wrong with other words is told when they are taken for good.
fn named(program: Program, words: &[Vec<u8>]) -> Option<PathBuf> {
    let mut settings = Settings::new(program.tool);
    let _ = take(words, &mut settings);
    settings.options_file
}

fn folder(world: &World) -> Option<PathBuf> {
    let xdg = world.variable("XDG_CONFIG_HOME").map(PathBuf::from);
    xdg.or_else(|| world.variable("HOME").map(|home| Path::new(&home).join(".config")))
}

fn split(program: Program, content: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let lines = content.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines
        .filter(|line| !line.starts_with(b"#") && !line.trim_ascii_start().is_empty())
        .map(|line| words(program, line))
        .collect()
}

/// A flag and the rest of the line, blanks included, which is its value. Properties have several words.
fn words(program: Program, line: &[u8]) -> Vec<Vec<u8>> {
    let line = line.trim_ascii_start();
    let Some(end) = line.iter().position(|byte| *byte == b' ') else { return vec![line.to_vec()] };
    let (name, value) = (&line[..end], &line[end + 1..]);
    let is_property = Flag::find(program.tool, name).is_some_and(|flag| flag.takes == Takes::Property);
    let values: Vec<Vec<u8>> = match is_property {
        true => value.splitn(4, |byte| *byte == b' ').map(<[u8]>::to_vec).collect(),
        false => vec![value.to_vec()],
    };
    std::iter::once(name.to_vec()).chain(values).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Wrong {
    Wrong(format!("the options file {} cannot be read: {error}.", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Tool;

    #[test]
    fn a_line_is_a_flag_and_what_follows_it() {
        let program = Program { tool: Tool::Pub, is_linked: true };
        let lines =
            split(program, b"# comment\n-h host\r\n-m two words \n\n-d\n-D publish user-property k a b\n");
        let lines: Vec<Vec<String>> = lines
            .iter()
            .map(|line| line.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
            .collect();
        assert_eq!(
            lines,
            [
                vec!["-h", "host"],
                vec!["-m", "two words "],
                vec!["-d"],
                vec!["-D", "publish", "user-property", "k", "a b"]
            ]
        );
    }
}
