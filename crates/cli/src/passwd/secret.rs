//! Asking for a password.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::PasswdError;

/// Asks twice on a terminal, without showing what is typed; otherwise it is the first line of standard input.
pub(super) fn ask(prompt: &str, again: &str) -> Result<String, PasswdError> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let mut out = io::stdout();
    let mut read = |prompt: &str| {
        write!(out, "{prompt}")?;
        out.flush()?;
        let password = rpassword::read_password()?;
        writeln!(out)?;
        Ok::<_, io::Error>(password)
    };
    let password = read(prompt)?;
    if password.is_empty() {
        return Err(PasswdError::Empty);
    }
    if read(again)? == password { Ok(password) } else { Err(PasswdError::Mismatch) }
}

/// The next line of standard input, without its end; an end without a line is empty.
pub(super) fn line() -> Result<String, PasswdError> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
