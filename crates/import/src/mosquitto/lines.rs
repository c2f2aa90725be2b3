//! The lines of a `mosquitto.conf` and of what it includes.
//!
//! A line is a name, spaces and a value; a `#` makes a comment where it is the very first character, and nowhere
//! else. `include_dir` puts the files of a folder in its place. Each file begins at the default listener, and the file
//! that includes it goes on where it was.

use crate::{Place, Problem};
use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A line that sets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) place: Place,
    /// The reading of a file it belongs to, by number; a file may be read twice.
    pub(crate) reading: usize,
    pub(crate) name: String,
    /// What follows the name, without the spaces around it.
    pub(crate) value: String,
}

/// Reads a file and what it includes.
pub(crate) fn read(path: &Path) -> (Vec<Line>, Vec<Problem>) {
    let mut reader = Reader::default();
    let place = Place { file: path.into(), line: 1 };
    reader.read_file(path, &place, Depth::Main);
    (reader.lines, reader.problems)
}

#[derive(Default)]
struct Reader {
    lines: Vec<Line>,
    problems: Vec<Problem>,
    readings: usize,
}

/// Whether a file may include others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Main,
    Included,
}

impl Reader {
    /// `asked_by` is the line to blame if the file cannot be read.
    fn read_file(&mut self, path: &Path, asked_by: &Place, depth: Depth) {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) => {
                return self.problem(asked_by, format!("{} cannot be read: {error}", path.display()));
            }
        };
        let file: Arc<Path> = path.into();
        let reading = self.readings;
        self.readings += 1;
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let place = Place { file: Arc::clone(&file), line: index + 1 };
            match std::str::from_utf8(line) {
                Ok(line) => self.read_line(line, place, reading, depth),
                Err(_) => self.problem(&place, "it is not UTF-8".into()),
            }
        }
    }

    fn read_line(&mut self, line: &str, place: Place, reading: usize, depth: Depth) {
        if line.starts_with('#') {
            return;
        }
        let (name, value) = split(line);
        if name.is_empty() {
            return;
        }
        let line = Line { place, reading, name: name.into(), value: value.into() };
        let is_include = line.name == INCLUDE_DIR;
        self.lines.push(line.clone());
        if is_include && depth == Depth::Main {
            self.include(Path::new(&line.value), &line.place);
        }
    }

    fn include(&mut self, folder: &Path, place: &Place) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                return self.problem(place, format!("{} cannot be read: {error}", folder.display()));
            }
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let mut paths: Vec<PathBuf> = paths.filter(|path| is_conf(path)).collect();
        paths.sort_by(|a, b| load_order(&file_name(a), &file_name(b)));
        for path in paths {
            self.read_file(&path, place, Depth::Included);
        }
    }

    fn problem(&mut self, place: &Place, message: String) {
        self.problems.push(Problem { place: place.clone(), message });
    }
}

/// The name and the value of a line. Tabs separate like spaces.
fn split(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once([' ', '\t']).map_or((line, ""), |(name, value)| (name, value.trim_start()))
}

/// Whether mosquitto reads the file from a folder. One that begins with a dot counts, too.
fn is_conf(path: &Path) -> bool {
    file_name(path).strip_suffix(".conf").is_some_and(|name| !name.is_empty())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// By letters, and of two that differ in case the upper one first: `A`, `a`, `B`, `b`.
fn load_order(a: &str, b: &str) -> Ordering {
    let lower = |text: &str| text.to_ascii_lowercase();
    lower(a).cmp(&lower(b)).then_with(|| a.cmp(b))
}

/// The option that includes other files.
pub(crate) const INCLUDE_DIR: &str = "include_dir";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_value() {
        for (line, expected) in [
            ("listener 1883", ("listener", "1883")),
            ("  listener   1883   host  ", ("listener", "1883   host")),
            ("listener\t1883\r", ("listener", "1883")),
            ("persistence", ("persistence", "")),
            ("", ("", "")),
            ("   ", ("", "")),
            ("allow_anonymous true # all", ("allow_anonymous", "true # all")),
        ] {
            assert_eq!(split(line), expected, "{line:?}");
        }
    }

    #[test]
    fn files_of_a_folder_come_in_the_order_of_the_manual() {
        let mut names = ["b.conf", "A.conf", "01.conf", "a.conf", "B.conf", "00.conf"];
        names.sort_by(|a, b| load_order(a, b));
        assert_eq!(names, ["00.conf", "01.conf", "A.conf", "a.conf", "B.conf", "b.conf"]);
    }

    #[test]
    fn only_conf_files_are_read() {
        let is = |name: &str| is_conf(Path::new(name));
        assert_eq!(
            ["a.conf", "a.conf.bak", ".conf", "README", "d/.x.conf"].map(is),
            [true, false, false, false, true]
        );
    }
}
