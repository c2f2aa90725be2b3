//! `mosquitto_passwd` of mosquitto 2.0.11, which this program is when it is linked so: the same flags, texts and exit
//! codes, and files that mosquitto reads.
//!
//! In some things it differs, so that nobody loses a file: a file with a line that is not understood stays as it is
//! (mosquitto's tool drops that line and all behind it), a last line without end gets one, a file is replaced as a
//! whole, and neither a user without a name nor a word too many is taken. A new file can be read by its owner alone.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};
use noctule_broker::access::auth::password::{PasswordHash, Scheme};
use noctule_broker::access::secrets::{change_secret, random_bytes, write_secret};

use super::lines::{Line, lines};
use super::{PasswdError, secret};

/// What the program is called then.
pub(crate) const NAME: &str = "mosquitto_passwd";

/// Why it ends without having done anything.
enum Stop {
    /// The command line is none; the usage says what would be one.
    Usage,
    /// This is wrong.
    Error(String),
    /// What was done failed.
    Failed(PasswdError),
    /// The second password was another one, which has been said.
    Mismatch,
}

impl From<PasswdError> for Stop {
    fn from(error: PasswdError) -> Self {
        Self::Failed(error)
    }
}

/// The command line.
#[derive(Default)]
struct Options {
    is_batch: bool,
    creates: bool,
    deletes: bool,
    hashes_plain: bool,
    is_sha512: bool,
    /// File, user and password, as far as they are given.
    words: Vec<String>,
}

/// The tool as clap sees it, for completions alone.
pub(crate) fn command() -> Command {
    let switch = |letter: char, help: &'static str| {
        Arg::new(letter.to_string()).short(letter).action(ArgAction::SetTrue).help(help)
    };
    let hashes = ["sha512", "sha512-pbkdf2"];
    Command::new(NAME)
        .about("Manages a password file of mosquitto")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(switch('b', "Takes the password from the command line"))
        .arg(switch('c', "Makes a new file, in place of one that is there"))
        .arg(switch('D', "Deletes a user"))
        .arg(switch('U', "Hashes the plain passwords of a file"))
        .arg(
            Arg::new("H").short('H').value_name("HASH").value_parser(hashes).help("How passwords are hashed"),
        )
        .arg(Arg::new("file").value_name("FILE"))
        .arg(Arg::new("user").value_name("USER"))
        .arg(Arg::new("password").value_name("PASSWORD"))
}

/// Runs the tool with these arguments, the name of the program excluded.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    match Options::parse(arguments).and_then(|options| options.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.report(),
    }
}

impl Stop {
    fn report(self) -> ExitCode {
        // Without standard output and error there is nobody left to tell; the exit code still does.
        match self {
            Self::Usage => {
                let _ = writeln!(io::stdout(), "{USAGE}");
                ExitCode::FAILURE
            }
            Self::Error(text) => {
                let _ = writeln!(io::stderr(), "Error: {text}");
                ExitCode::FAILURE
            }
            Self::Failed(error) => {
                let _ = match &error {
                    PasswdError::NoSuchUser { name, .. } => {
                        writeln!(io::stderr(), "Warning: User {name} not found in password file.")
                    }
                    error => writeln!(io::stderr(), "Error: {error}"),
                };
                ExitCode::FAILURE
            }
            Self::Mismatch => ExitCode::from(2),
        }
    }
}

impl Options {
    fn parse(arguments: Vec<String>) -> Result<Self, Stop> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter().peekable();
        while let Some(flag) = arguments.next_if(|argument| argument.starts_with('-')) {
            match flag.as_str() {
                "-b" => options.is_batch = true,
                "-c" => options.creates = true,
                "-D" => options.deletes = true,
                "-U" => options.hashes_plain = true,
                "-H" => options.is_sha512 = is_sha512(arguments.next().as_deref())?,
                _ => return Err(Stop::Usage),
            }
        }
        options.words = arguments.collect();
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), Stop> {
        let together = [
            (self.creates && self.deletes, "-c and -D"),
            (self.creates && self.hashes_plain, "-c and -U"),
            (self.is_batch && self.deletes, "-b and -D"),
            (self.deletes && self.hashes_plain, "-D and -U"),
        ];
        if let Some((_, both)) = together.iter().find(|(is_set, _)| *is_set) {
            return Err(Stop::Error(format!("{both} cannot be used together.")));
        }
        let (given, needed) = (self.words.len(), self.words_needed());
        if given == needed {
            return Ok(());
        }
        match (self.creates, self.deletes, self.hashes_plain, self.is_batch) {
            (true, _, _, true) if given < needed => {
                Err(missing("-c", "password file, username, or password"))
            }
            (true, _, _, false) if given < needed => Err(missing("-c", "password file or username")),
            (_, true, _, _) if given < needed => Err(missing("-D", "password file or username")),
            (_, _, true, _) => Err(missing("-U", "password file")),
            _ => Err(Stop::Usage),
        }
    }

    fn words_needed(&self) -> usize {
        match (self.hashes_plain, self.is_batch) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 2,
        }
    }

    fn run(&self) -> Result<(), Stop> {
        let file = &*self.words[0];
        if self.hashes_plain {
            self.open(file)?;
            return Ok(self.hash_plain(file)?);
        }
        let user = &*self.words[1];
        check_user(user)?;
        if !self.creates {
            self.open(file)?;
        }
        if self.deletes {
            return Ok(delete(file, user)?);
        }
        let password = match self.words.get(2) {
            Some(password) => password.clone(),
            None => ask()?,
        };
        let line = format!("{user}:{}\n", self.hash(&password)?);
        match self.creates {
            true => create(file, &line),
            false => Ok(set(file, user, &line)?),
        }
    }

    /// A file that is to be changed has to be there.
    fn open(&self, file: &str) -> Result<(), Stop> {
        let opened = fs::OpenOptions::new().read(true).write(true).open(file);
        opened
            .map(drop)
            .map_err(|error| Stop::Error(format!("Unable to open password file {file}. {}.", said(&error))))
    }

    fn hash(&self, password: &str) -> Result<PasswordHash, PasswdError> {
        let scheme = match self.is_sha512 {
            true => Scheme::Sha512,
            false => Scheme::Pbkdf2Sha512 { iterations: ITERATIONS },
        };
        let salt: [u8; SALT_BYTES] = random_bytes()?;
        let hash = PasswordHash::with_scheme(scheme, password.as_bytes(), &salt);
        Ok(hash.expect("the scheme and the salt are within their bounds"))
    }

    /// Hashes what stands behind the names, whatever it is.
    fn hash_plain(&self, file: &str) -> Result<(), PasswdError> {
        change_secret(Path::new(file), |text| {
            let mut hashed = String::new();
            for (Line { name, secret }, _) in lines(text)? {
                hashed += &format!("{name}:{}\n", self.hash(secret)?);
            }
            Ok::<_, PasswdError>(Some(hashed))
        })?;
        Ok(())
    }
}

fn is_sha512(name: Option<&str>) -> Result<bool, Stop> {
    match name {
        None => Err(Stop::Error("-H argument given but not enough other arguments.".to_owned())),
        Some("sha512") => Ok(true),
        Some("sha512-pbkdf2") => Ok(false),
        Some(name) => Err(Stop::Error(format!("Unknown hash type '{name}'"))),
    }
}

fn missing(flag: &str, words: &str) -> Stop {
    Stop::Error(format!("{flag} argument given but {words} missing."))
}

fn check_user(user: &str) -> Result<(), Stop> {
    let wrong = |text: &str| Err(Stop::Error(text.to_owned()));
    match user {
        "" => wrong("Username must not be empty."),
        user if user.len() > usize::from(u16::MAX) => {
            wrong("Username must be less than 65536 characters long.")
        }
        user if user.contains(':') => wrong("Username must not contain the ':' character."),
        user if user.contains(char::is_control) => wrong("Username must not contain control characters."),
        _ => Ok(()),
    }
}

/// Asks twice, as the tool does whether or not there is a terminal.
fn ask() -> Result<String, Stop> {
    let read = |prompt: &str| {
        let mut out = io::stdout();
        write!(out, "{prompt}").and_then(|()| out.flush()).map_err(PasswdError::from)?;
        let password = match io::stdin().is_terminal() {
            true => rpassword::read_password().map_err(PasswdError::from)?,
            false => secret::line()?,
        };
        match password.as_str() {
            "" => Err(PasswdError::Empty),
            _ => Ok(password),
        }
    };
    let end_line = || drop(writeln!(io::stdout()));
    let password = read("Password: ")?;
    end_line();
    let again = read("Reenter password: ")?;
    if again != password {
        let _ = writeln!(io::stderr(), "Error: {}", PasswdError::Mismatch);
        end_line();
        return Err(Stop::Mismatch);
    }
    end_line();
    Ok(password)
}

fn create(file: &str, line: &str) -> Result<(), Stop> {
    write_secret(Path::new(file), line)
        .map_err(|error| Stop::Error(format!("Unable to open file {file} for writing. {}.", said(&error))))
}

/// Every line of a user becomes this one; a user without line gets it at the end.
fn set(file: &str, user: &str, line: &str) -> Result<(), PasswdError> {
    change_secret(Path::new(file), |text| {
        let (mut changed, mut is_there) = (String::new(), false);
        for (Line { name, .. }, whole) in lines(text)? {
            let is_user = name == user;
            is_there |= is_user;
            changed.push_str(if is_user { line } else { whole });
            if !changed.ends_with('\n') {
                changed.push('\n');
            }
        }
        if !is_there {
            changed.push_str(line);
        }
        Ok::<_, PasswdError>(Some(changed))
    })?;
    Ok(())
}

fn delete(file: &str, user: &str) -> Result<(), PasswdError> {
    let is_removed = change_secret(Path::new(file), |text| {
        let lines = lines(text)?;
        let left: String =
            lines.iter().filter(|(Line { name, .. }, _)| *name != user).map(|(_, whole)| *whole).collect();
        Ok::<_, PasswdError>((left.len() < text.len()).then_some(left))
    })?;
    let no_such_user = || PasswdError::NoSuchUser { name: user.to_owned(), file: file.to_owned() };
    if is_removed { Ok(()) } else { Err(no_such_user()) }
}

/// What the operating system said, without the number that Rust adds.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// What mosquitto's tool writes.
const ITERATIONS: u32 = 101;
const SALT_BYTES: usize = 12;

const USAGE: &str = "\
mosquitto_passwd is a tool for managing password files for mosquitto.

Usage: mosquitto_passwd [-H sha512 | -H sha512-pbkdf2] [-c | -D] passwordfile username
       mosquitto_passwd [-H sha512 | -H sha512-pbkdf2] [-c] -b passwordfile username password
       mosquitto_passwd -U passwordfile
 -b : run in batch mode to allow passing passwords on the command line.
 -c : create a new password file. This will overwrite existing files.
 -D : delete the username rather than adding/updating its password.
 -H : specify the hashing algorithm. Defaults to sha512-pbkdf2, which is recommended.
      Mosquitto 1.6 and earlier defaulted to sha512.
 -U : update a plain text password file to use hashed passwords.

See https://mosquitto.org/ for more information.
";
