//! Files of users: who they are, how their passwords are hashed, and their groups.
//!
//! ```text
//! # name:hash:groups
//! anna:$argon2id$v=19$m=19456,t=2,p=1$…$…:operators,night
//! panel-3:$7$101$…$…
//! plc-7:!:sensors
//! ```
//!
//! Each line is a user: the name, the [hashed password](crate::password) and, separated by commas, the groups. `!` is
//! the hash of no password: such a user exists for its groups, and comes in by certificate. Lines that begin with `#`
//! are comments. mosquitto's `password_file` is the same without groups, so its lines are
//! read here as well.
//!
//! Changes are made to the text: they touch one line and leave every other byte as it was.

use crate::file_error::{FileError, Line};
use crate::identity::Groups;
use crate::password::PasswordHash;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The users of a file.
#[derive(Debug)]
pub struct Users {
    file: Arc<str>,
    users: HashMap<Box<str>, User>,
    kind: UsersKind,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsersKind {
    /// Ours: what is wrong in it is an error, and passwords are hashed anew when a better way is known.
    Ours,
    /// mosquitto's, which we only read.
    Mosquitto,
}

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// The hashed password; `None`: no password fits.
    pub hash: Option<Arc<PasswordHash>>,
    /// The groups.
    pub groups: Groups,
    /// The line it stands in.
    pub line: u32,
    /// It does not come in with its password, for the time being.
    pub is_disabled: bool,
    /// The one client id with which it comes in; `None`: any.
    pub client_id: Option<Box<str>>,
}

impl Users {
    /// Reads our file of users. `file` is its name, for decisions and errors.
    ///
    /// # Errors
    /// Every line that is not understood, and every name that comes again.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<FileError>> {
        let (users, errors) = Self::read(file, text, UsersKind::Ours);
        if errors.is_empty() { Ok(users) } else { Err(errors) }
    }

    /// Reads mosquitto's `password_file` as mosquitto does: a line that is not understood is passed over, and of two
    /// lines for a name the last one counts. What was passed over is told.
    pub fn parse_mosquitto(file: &str, text: &str) -> (Self, Vec<FileError>) {
        Self::read(file, text, UsersKind::Mosquitto)
    }

    /// Users that were read from a file in another form. Of two with one name the last one counts.
    pub(crate) fn of(file: &str, kind: UsersKind, users: impl IntoIterator<Item = (Box<str>, User)>) -> Self {
        Self { file: file.into(), users: users.into_iter().collect(), kind }
    }

    /// The name of the file.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Whose file it is.
    pub fn kind(&self) -> UsersKind {
        self.kind
    }

    /// The user of this name.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The hash that takes longest to check.
    pub(crate) fn costliest(&self) -> Option<&Arc<PasswordHash>> {
        self.users.values().filter_map(|user| user.hash.as_ref()).max_by_key(|hash| hash.cost())
    }

    fn read(file: &str, text: &str, kind: UsersKind) -> (Self, Vec<FileError>) {
        let mut users = Self { file: file.into(), users: HashMap::new(), kind };
        let mut errors = Vec::new();
        let file = Arc::clone(&users.file);
        for line in Line::all(&file, text) {
            errors.extend(users.read_line(&line).err());
        }
        (users, errors)
    }

    fn read_line(&mut self, line: &Line<'_>) -> Result<(), FileError> {
        let is_ours = self.kind == UsersKind::Ours;
        if line.text.trim().is_empty() || line.text.starts_with('#') {
            return Ok(());
        }
        let Some(fields) = Fields::of(line.text) else {
            let problem = "a line is `NAME:HASH` or `NAME:HASH:GROUPS`; add users with `noctule passwd`";
            return if is_ours { Err(line.error(0, problem)) } else { Ok(()) };
        };
        let name = &line.text[fields.name];
        if name.is_empty() {
            return Err(line.error(0, "the name of the user is missing"));
        }
        let text = &line.text[fields.hash.clone()];
        let hash = match (text, is_ours) {
            ("!", true) => None,
            _ => Some(
                PasswordHash::parse(text)
                    .map_err(|error| line.error(fields.hash.start, error.to_string()))?,
            ),
        };
        let groups = &line.text[fields.groups.clone()];
        let groups: Vec<&str> = if is_ours { groups.split(',').map(str::trim).collect() } else { Vec::new() };
        if groups.len() > 1 && groups.contains(&"") {
            return Err(line.error(fields.groups.start, "the name of a group is missing"));
        }
        let groups = groups.into_iter().filter(|group| !group.is_empty()).collect();
        let hash = hash.map(Arc::new);
        let user = User { hash, groups, line: line.number, is_disabled: false, client_id: None };
        let earlier = self.users.insert(name.into(), user);
        match earlier {
            Some(earlier) if is_ours => {
                Err(line.error(0, format!("{name:?} stands in line {} already", earlier.line)))
            }
            _ => Ok(()),
        }
    }
}

impl User {
    /// Why it does not come in whatever its password is, if there is a reason.
    pub(crate) fn bar(&self, client_id: &str) -> Option<String> {
        match &self.client_id {
            _ if self.is_disabled => Some("is disabled".to_owned()),
            Some(own) if **own != *client_id => Some(format!("comes in with the client id {own:?} only")),
            _ => None,
        }
    }
}

/// Gives a user this hashed password: in its line, which keeps its groups, or in a new one at the end.
///
/// # Errors
/// The name cannot stand in the file: it is empty, begins with `#`, or contains `:` or a character that is not
/// printed.
pub fn set_hash(text: &str, name: &str, hash: &PasswordHash) -> Result<String, NameError> {
    check_name(name)?;
    if let Some(place) = hash_of(text, name) {
        return Ok(replaced(text, place, &hash.to_string()));
    }
    let is_open = !text.is_empty() && !text.ends_with('\n');
    Ok(format!("{text}{}{name}:{hash}\n", if is_open { "\n" } else { "" }))
}

/// Gives a user who has a line these groups, in place of those it had.
///
/// # Errors
/// There is no such user, or a name cannot stand in the file: it is empty, has spaces at its ends, or contains `,`, `:`
/// or a character that is not printed.
pub fn set_groups(text: &str, name: &str, groups: &[&str]) -> Result<String, GroupsError> {
    if let Some(group) = groups.iter().find(|group| !is_group(group)) {
        return Err(GroupsError::Name { group: (*group).into() });
    }
    let (line, fields) = line_of(text, name).ok_or(GroupsError::NoSuchUser)?;
    let behind_hash = line.start + fields.hash.end..line.start + text[line.clone()].trim_end().len();
    let groups = if groups.is_empty() { String::new() } else { format!(":{}", groups.join(",")) };
    Ok(replaced(text, behind_hash, &groups))
}

/// Gives a user a new hash for an old one. `None` if the user no longer has the old one: somebody was faster.
pub fn replace_hash(text: &str, name: &str, old: &PasswordHash, new: &PasswordHash) -> Option<String> {
    let place = hash_of(text, name)?;
    let is_old = PasswordHash::parse(&text[place.clone()]).is_ok_and(|hash| hash == *old);
    is_old.then(|| replaced(text, place, &new.to_string()))
}

/// Removes the line of a user. `None` if it has none.
pub fn remove(text: &str, name: &str) -> Option<String> {
    let (line, _) = line_of(text, name)?;
    Some(replaced(text, line, ""))
}

/// A name cannot stand in a file of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user name is not empty, does not begin with `#`, and has no `:`, control characters or spaces at its ends"
)]
pub struct NameError;

/// A user cannot be given these groups.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupsError {
    /// The user has no line.
    #[error("there is no such user")]
    NoSuchUser,
    /// The name cannot stand in the file.
    #[error(
        "{group:?} is no name of a group, which has no `,`, `:`, control characters or spaces at its ends"
    )]
    Name {
        /// It.
        group: Box<str>,
    },
}

fn is_group(name: &str) -> bool {
    !name.is_empty()
        && name.trim() == name
        && !name.contains(|c: char| matches!(c, ',' | ':') || c.is_control())
}

fn check_name(name: &str) -> Result<(), NameError> {
    let is_wrong = name.is_empty()
        || name.starts_with('#')
        || name.trim() != name
        || name.contains(|c: char| c == ':' || c.is_control());
    if is_wrong { Err(NameError) } else { Ok(()) }
}

/// Where the fields of a line are, spaces around them left out.
struct Fields {
    name: Range<usize>,
    hash: Range<usize>,
    groups: Range<usize>,
}

impl Fields {
    fn of(line: &str) -> Option<Self> {
        let first = line.find(':')?;
        let second = line[first + 1..].find(':').map_or(line.len(), |at| first + 1 + at);
        let groups = (second + 1).min(line.len())..line.len();
        Some(Self {
            name: trimmed(line, 0..first),
            hash: trimmed(line, first + 1..second),
            groups: trimmed(line, groups),
        })
    }
}

fn trimmed(line: &str, range: Range<usize>) -> Range<usize> {
    let text = &line[range.clone()];
    let begin = range.start + (text.len() - text.trim_start().len());
    begin..begin + text.trim().len()
}

/// The line of a user with its end, and the fields in it; the last one, if there are several.
fn line_of(text: &str, name: &str) -> Option<(Range<usize>, Fields)> {
    let mut end = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        end += line.len();
        (end - line.len()..end, line)
    });
    let lines = lines.filter(|(_, line)| !line.starts_with('#'));
    let users = lines.filter_map(|(range, line)| Some((range, Fields::of(line.trim_end())?)));
    users.filter(|(range, fields)| &text[range.clone()][fields.name.clone()] == name).last()
}

fn hash_of(text: &str, name: &str) -> Option<Range<usize>> {
    let (line, fields) = line_of(text, name)?;
    Some(line.start + fields.hash.start..line.start + fields.hash.end)
}

fn replaced(text: &str, range: Range<usize>, with: &str) -> String {
    [&text[..range.start], with, &text[range.end..]].concat()
}
