//! Files of users as `mosquitto_passwd` reads them: a name, a colon, and what follows, in every line.

use std::path::Path;

use noctule_broker::access::auth::password::PasswordHash;
use noctule_broker::access::secrets::change_secret;

use super::PasswdError;

/// Hashes the password of a user.
pub(super) type Hasher<'a> = &'a dyn Fn(&str) -> Result<PasswordHash, PasswdError>;

/// A line: the name of a user, and what stands behind it up to the next colon.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) secret: &'a str,
}

/// The lines of a file, line ends included.
///
/// # Errors
/// The first line that has no name or nothing behind it.
pub(super) fn lines(text: &str) -> Result<Vec<(Line<'_>, &str)>, PasswdError> {
    let numbered = (1..).zip(text.split_inclusive('\n'));
    let parsed = numbered.map(|(number, whole)| {
        let line = Line::parse(whole).ok_or(PasswdError::Corrupt { line: number })?;
        Ok((line, whole))
    });
    parsed.collect()
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.trim_end_matches(['\r', '\n']).split(':').filter(|field| !field.is_empty());
        let (name, secret) = (fields.next()?, fields.next()?.trim());
        (!secret.is_empty()).then_some(Self { name, secret })
    }
}

/// Replaces every plain password in a file by its hash. What is hashed already stays as it is, which
/// `mosquitto_passwd` would hash once more.
pub(super) fn hash_plain(file: &Path, hash: Hasher<'_>) -> Result<(), PasswdError> {
    std::fs::metadata(file)?;
    change_secret(file, |text| hash_lines(text, hash).map(Some))?;
    Ok(())
}

fn hash_lines(text: &str, hash: Hasher<'_>) -> Result<String, PasswdError> {
    let mut hashed = String::new();
    for (Line { name, secret }, whole) in lines(text)? {
        match PasswordHash::parse(secret) {
            Ok(_) => hashed.push_str(whole),
            Err(_) => hashed += &format!("{name}:{}\n", hash(secret)?),
        }
    }
    Ok(hashed)
}
