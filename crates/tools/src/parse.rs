//! From words to settings, by the table of flags.

use crate::check;
use crate::flags::{Flag, Takes, Wrong, path};
use crate::help;
use crate::options_file;
use crate::program::Program;
use crate::settings::{PasswordPlace, Settings};
use crate::world::World;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

/// Why a tool ends before it has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Help was asked for.
    Help,
    /// The version was asked for.
    Version,
    /// The command line is wrong.
    Usage(String),
    /// What it asks for cannot be had.
    Failed(String),
}

impl From<Wrong> for Stop {
    fn from(Wrong(text): Wrong) -> Self {
        Self::Usage(format!("Error: {text}"))
    }
}

impl Stop {
    /// Tells the user; gives the exit code. mosquitto's tools end with 1 also after help.
    pub(crate) fn report(self, program: Program, world: &mut World) -> u8 {
        let shown = match self {
            Self::Usage(text) => {
                world.complain(&text);
                world.complain(&format!("\nUse '{} --help' to see usage.", program.name()));
                return 1;
            }
            Self::Failed(text) => {
                world.complain(&text);
                return 1;
            }
            Self::Help => help::help(program),
            Self::Version => format!("{} version {} (noctule)\n", program.name(), env!("CARGO_PKG_VERSION")),
        };
        match world.stdout.write_all(shown.as_bytes()) {
            Ok(()) => u8::from(program.is_linked),
            Err(_) => 1,
        }
    }
}

/// Reads the options files and then the words; what is said later counts.
pub(crate) fn parse(program: Program, words: &[Vec<u8>], world: &World) -> Result<Settings, Stop> {
    let mut settings = Settings::new(program.tool);
    for line in options_file::lines(program, words, world)? {
        take(&line, &mut settings)?;
    }
    take(words, &mut settings)?;
    if let Some(place) = &settings.password_place {
        settings.password = Some(password(place, world)?);
    }
    check::check(&mut settings)?;
    Ok(settings)
}

/// Applies words to the settings. The first wrong one ends it.
pub(crate) fn take(words: &[Vec<u8>], settings: &mut Settings) -> Result<(), Stop> {
    let mut rest = words;
    while let [word, after @ ..] = rest {
        if is_file(word, settings) {
            settings.file = Some(path(word));
            rest = after;
            continue;
        }
        if let Some((flag, value)) = with_value(word, settings) {
            (flag.set)(settings, value)?;
            rest = after;
            continue;
        }
        let flag = Flag::find(settings.tool, word);
        let flag =
            flag.ok_or_else(|| Wrong(format!("Unknown option '{}'.", String::from_utf8_lossy(word))))?;
        let used = match flag.takes {
            Takes::Help => return Err(Stop::Help),
            Takes::Version => return Err(Stop::Version),
            Takes::Nothing => (flag.set)(settings, &[]).map(|()| 0)?,
            Takes::Word { missing, .. } => {
                let value = after.first().ok_or_else(|| nothing_behind(flag, missing))?;
                (flag.set)(settings, value).map(|()| 1)?
            }
            Takes::Property => {
                // Whoever names a property of MQTT 5 speaks it.
                settings.version = noctule_codec::ProtocolVersion::V5;
                settings.properties.add(after)?
            }
        };
        rest = &after[used..];
    }
    Ok(())
}

/// A long name and its value in one word: `--host=localhost`. mosquitto's tools do not know it; the other commands of
/// `noctule` do, and shells complete it so.
fn with_value<'w>(word: &'w [u8], settings: &Settings) -> Option<(&'static Flag, &'w [u8])> {
    let equals = word.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (&word[..equals], &word[equals + 1..]);
    let flag = Flag::find(settings.tool, name).filter(|_| name.starts_with(b"--"))?;
    matches!(flag.takes, Takes::Word { .. }).then_some((flag, value))
}

/// Whether a word is the name of the tool's file. One that looks like a flag is written with its folder: `./-x`.
fn is_file(word: &[u8], settings: &Settings) -> bool {
    let is_name = word == b"-" || !word.starts_with(b"-");
    settings.tool.has_file() && settings.file.is_none() && is_name
}

fn nothing_behind(flag: &Flag, missing: &str) -> Wrong {
    Wrong(format!("{} argument given but {missing}.", flag.names[0]))
}

fn password(place: &PasswordPlace, world: &World) -> Result<Vec<u8>, Wrong> {
    match place {
        PasswordPlace::File(path) => password_file(path),
        PasswordPlace::Variable(name) => {
            let value = (world.environment)(name);
            value.map(OsString::into_encoded_bytes).ok_or_else(|| {
                Wrong(format!("there is no variable {name} in the environment; set it, or use --pw-file"))
            })
        }
    }
}

fn password_file(path: &Path) -> Result<Vec<u8>, Wrong> {
    let content = std::fs::read(path)
        .map_err(|error| Wrong(format!("the password cannot be read from {}: {error}", path.display())))?;
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Tool;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    }

    fn parsed(tool: Tool, line: &str) -> Result<Settings, Stop> {
        let mut settings = Settings::new(tool);
        take(&words(line), &mut settings)?;
        check::check(&mut settings)?;
        Ok(settings)
    }

    #[test]
    fn a_word_behind_a_flag_is_its_value_whatever_it_looks_like() {
        let settings = parsed(Tool::Pub, "-t -t -m --help").expect("a command line");
        assert_eq!(settings.topic.as_deref(), Some("-t"));
        assert_eq!(settings.payload, crate::settings::Payload::Bytes(b"--help".to_vec()));
    }

    #[test]
    fn other_tools_names_mean_the_same() {
        let settings =
            parsed(Tool::Sub, "--hostname h --client-id c --topic a/# --count 2").expect("a command line");
        assert_eq!((settings.host.as_deref(), settings.client_id.as_deref()), (Some("h"), Some("c")));
        assert_eq!((settings.filters, settings.count), (vec!["a/#".to_owned()], Some(2)));
    }

    #[test]
    fn a_long_name_may_have_its_value_behind_an_equals_sign() {
        let settings = parsed(Tool::Pub, "--host=h --topic=a=b --message= --qos=1").expect("a command line");
        assert_eq!((settings.host.as_deref(), settings.topic.as_deref()), (Some("h"), Some("a=b")));
        assert_eq!(settings.payload, crate::settings::Payload::Bytes(Vec::new()));
        for line in ["-h=h", "--retain=1", "--bogus=1", "--property=connect"] {
            let error = parsed(Tool::Pub, line).expect_err(line);
            assert_eq!(error, Stop::Usage(format!("Error: Unknown option '{line}'.")));
        }
    }

    /// The texts are those of mosquitto's tools, which scripts may look for.
    #[test]
    fn wrong_words_are_told_as_mosquitto_tells_them() {
        use Tool::{Pub, Request, Sub};
        let cases = [
            (Pub, "--bogus", "Error: Unknown option '--bogus'."),
            (Pub, "-C 1", "Error: Unknown option '-C'."),
            (Sub, "-m x", "Error: Unknown option '-m'."),
            (Pub, "-h", "Error: -h argument given but no host specified."),
            (Pub, "-V", "Error: --protocol-version argument given but no version specified."),
            (Pub, "-M", "Error: -M argument given but max_inflight not specified."),
            (Pub, "-q 3", "Error: Invalid QoS given: 3"),
            (Pub, "-t a/#", "Error: Invalid publish topic 'a/#', does it contain '+' or '#'?"),
            (Sub, "-t a+", "Error: Invalid subscription topic 'a+', are all '+' and '#' wildcards correct?"),
            (Pub, "-t a", "Error: Both topic and message must be supplied."),
            (Sub, "-v", "Error: You must specify a topic to subscribe to."),
            (Request, "-t a -m b", "Error: All of topic, message, and response topic must be supplied."),
            (Pub, "-t a -m b -s", "Error: Only one type of message can be sent at once."),
            (Pub, "-t a -m b -c", "Error: You must provide a client id if you are using the -c option."),
            (Sub, "-t a -F %", "Error: Incomplete format specifier."),
            (Sub, "-t a -L http://x/y", "Error: unsupported URL scheme."),
            (Sub, "-L mqtt://x", "Error: Invalid URL for -L argument specified - topic missing."),
            (Pub, "--proxy http://x", "Error: Unsupported proxy protocol: http://x"),
        ];
        for (tool, line, error) in cases {
            match parsed(tool, line).expect_err(line) {
                Stop::Usage(text) | Stop::Failed(text) => assert_eq!(text, error, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_url_says_all_at_once() {
        let settings = parsed(Tool::Sub, "-L mqtts://u:p:q@host:99/a/b").expect("a command line");
        assert_eq!((settings.host.as_deref(), settings.port), (Some("host"), Some(99)));
        assert_eq!(
            (settings.user_name.as_deref(), settings.password.as_deref()),
            (Some("u"), Some(&b"p:q"[..]))
        );
        assert_eq!((settings.filters, settings.tls.system_roots), (vec!["a/b".to_owned()], true));
    }
}
