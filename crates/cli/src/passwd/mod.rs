//! `noctule passwd`: gives users their passwords, in a file of users.

mod lines;
pub(crate) mod mosquitto;
mod secret;

use std::io;
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use noctule_broker::access::auth::password::PasswordHash;
use noctule_broker::access::auth::users::{GroupsError, remove, set_groups, set_hash};
use noctule_broker::access::secrets::{change_secret, random_bytes};
use thiserror::Error;

use crate::failure::Failure;

/// Why a file of users was not changed.
#[derive(Debug, Error)]
pub(crate) enum PasswdError {
    /// The file, or the terminal.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A user that is not there cannot be removed.
    #[error("user {name:?} is not in {file}")]
    NoSuchUser {
        /// The user.
        name: String,
        /// The file.
        file: String,
    },
    /// The name cannot stand in the file.
    #[error("{0}")]
    Name(#[from] noctule_broker::access::auth::users::NameError),
    /// The groups cannot stand in the file.
    #[error("{0}")]
    Groups(#[from] GroupsError),
    /// A line is not understood.
    #[error("Corrupt password file at line {line}.")]
    Corrupt {
        /// Which one, from 1.
        line: usize,
    },
    /// There is no password.
    #[error("Empty password.")]
    Empty,
    /// The second time it was another one.
    #[error("Passwords do not match.")]
    Mismatch,
}

/// The command and its flags: those of `mosquitto_passwd`, and groups, which its files do not have.
pub(crate) fn command() -> Command {
    let flag = |name: char, id: &'static str, help: &'static str| {
        Arg::new(id).short(name).long(id).action(ArgAction::SetTrue).help(help)
    };
    Command::new("passwd")
        .about("Gives a user a password in a file of users (access.users)")
        .long_about(
            "Gives a user a password in a file of users (access.users), hashed with Argon2id. The file is made if it \
             is missing, for its owner alone, and replaced as a whole. The password is asked for on a terminal, or is \
             the first line of standard input.\n\nLinked as `mosquitto_passwd` the program is that tool.",
        )
        .arg(flag('c', CREATE, "Starts with an empty file").conflicts_with_all([DELETE, HASH]))
        .arg(flag('b', BATCH, "Takes the password from the command line, where others may see it"))
        .arg(flag('D', DELETE, "Removes the user").conflicts_with_all([BATCH, HASH]))
        .arg(flag('U', HASH, "Hashes the passwords of a file that has plain ones").conflicts_with(BATCH))
        .arg(
            Arg::new(GROUPS)
                .short('g')
                .long(GROUPS)
                .value_name("GROUP,GROUP")
                .conflicts_with_all([DELETE, HASH])
                .help("Puts the user in these groups and no others, who keeps a password that is there"),
        )
        .arg(Arg::new(FILE).value_name("FILE").required(true))
        .arg(
            Arg::new(NAME)
                .value_name("NAME")
                .required_unless_present(HASH)
                .conflicts_with(HASH)
                .value_parser(value_parser!(String)),
        )
        .arg(
            Arg::new(PASSWORD)
                .value_name("PASSWORD")
                .requires(BATCH)
                .required_if_eq(BATCH, "true")
                .help("Only with --batch"),
        )
}

/// Does what the command line asks for.
pub(crate) fn passwd(matches: &ArgMatches) -> Result<(), Failure> {
    let file = matches.get_one::<String>(FILE).expect("clap requires it");
    if matches.get_flag(HASH) {
        return Ok(lines::hash_plain(Path::new(file), &|password| hash(password))?);
    }
    let name = matches.get_one::<String>(NAME).expect("clap requires it");
    if matches.get_flag(DELETE) {
        return Ok(delete(file, name)?);
    }
    let groups = matches.get_one::<String>(GROUPS).map(|groups| split(groups));
    // What cannot stand in the file is told before a password is asked for.
    let any = PasswordHash::parse(ANY_HASH).expect("it is one");
    with_user("", name, &any, groups.as_deref())?;
    let (is_new, given) = (matches.get_flag(CREATE), matches.get_one::<String>(PASSWORD));
    if let (Some(groups), None, false) = (&groups, given, is_new)
        && regroup(file, name, groups)?
    {
        return Ok(());
    }
    let password = match given {
        Some(password) => password.clone(),
        None => secret::ask(&format!("Password for {name}: "), "The same again: ")?,
    };
    Ok(set(file, name, &password, groups.as_deref(), is_new)?)
}

/// The names in a list of groups; none in an empty one.
fn split(groups: &str) -> Vec<&str> {
    if groups.is_empty() { Vec::new() } else { groups.split(',').collect() }
}

/// Puts a user in these groups. Says whether there is such a user.
fn regroup(file: &str, name: &str, groups: &[&str]) -> Result<bool, PasswdError> {
    change_secret(Path::new(file), |text| match set_groups(text, name, groups) {
        Err(GroupsError::NoSuchUser) => Ok(None),
        changed => Ok::<_, PasswdError>(Some(changed?)),
    })
}

fn set(
    file: &str,
    name: &str,
    password: &str,
    groups: Option<&[&str]>,
    is_new: bool,
) -> Result<(), PasswdError> {
    if password.is_empty() {
        return Err(PasswdError::Empty);
    }
    let hash = hash(password)?;
    change_secret(Path::new(file), |text| {
        let text = if is_new { "" } else { text };
        with_user(text, name, &hash, groups).map(Some)
    })?;
    Ok(())
}

/// A file with this user: with these groups, or with those that it has.
fn with_user(
    text: &str,
    name: &str,
    hash: &PasswordHash,
    groups: Option<&[&str]>,
) -> Result<String, PasswdError> {
    let text = set_hash(text, name, hash)?;
    match groups {
        Some(groups) => Ok(set_groups(&text, name, groups)?),
        None => Ok(text),
    }
}

fn delete(file: &str, name: &str) -> Result<(), PasswdError> {
    std::fs::metadata(file)?;
    let is_removed = change_secret(Path::new(file), |text| Ok::<_, PasswdError>(remove(text, name)))?;
    let no_such_user = || PasswdError::NoSuchUser { name: name.to_owned(), file: file.to_owned() };
    if is_removed { Ok(()) } else { Err(no_such_user()) }
}

fn hash(password: &str) -> Result<PasswordHash, PasswdError> {
    Ok(PasswordHash::new(password.as_bytes(), random_bytes()?))
}

const CREATE: &str = "create";
const BATCH: &str = "batch";
const DELETE: &str = "delete";
const HASH: &str = "hash-plain";
const GROUPS: &str = "groups";
const FILE: &str = "file";
const NAME: &str = "name";
const PASSWORD: &str = "password";
/// A hash of nothing in particular, to see whether a name can stand in front of one.
const ANY_HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA";
