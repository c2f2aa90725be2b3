//! `noctule passwd` in a file of users.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use crate::support::{folder, noctule, outcome};

/// Exit code and standard error, with this on standard input.
fn passwd(folder: &Path, arguments: &[&str], input: &str) -> (i32, String) {
    let mut command = noctule(folder, &[&["passwd"], arguments].concat());
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the binary");
    // It may end before it has read anything.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    (output.status.code().expect("an exit code"), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The names in a file, each with how its hash begins and with what stands behind it.
fn users(folder: &Path) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(folder.join("users.txt")).expect("it is there");
    let fields = |line: &str| {
        let mut fields = line.splitn(3, ':').map(str::to_owned);
        let (name, hash) = (fields.next().expect("a name"), fields.next().expect("a hash"));
        let scheme = hash.split('$').nth(1).unwrap_or_default().to_owned();
        (name, scheme, fields.next().unwrap_or_default())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(fields).collect()
}

fn user(name: &str, groups: &str) -> (String, String, String) {
    (name.to_owned(), "argon2id".to_owned(), groups.to_owned())
}

#[test]
fn users_are_added_changed_and_removed() {
    let folder = folder("passwd");
    assert_eq!(passwd(&folder, &["users.txt", "anna"], "one\n"), (0, String::new()));
    assert_eq!(passwd(&folder, &["-b", "users.txt", "bert", "two"], ""), (0, String::new()));
    assert_eq!(users(&folder), [user("anna", ""), user("bert", "")]);
    let before = fs::read_to_string(folder.join("users.txt")).expect("it is there");
    fs::write(folder.join("users.txt"), before.replace('\n', ":staff\n")).expect("a writable folder");
    assert_eq!(passwd(&folder, &["users.txt", "anna"], "three\n"), (0, String::new()));
    assert_eq!(users(&folder), [user("anna", "staff"), user("bert", "staff")], "groups stay");
    assert_eq!(passwd(&folder, &["-D", "users.txt", "anna"], ""), (0, String::new()));
    assert_eq!(users(&folder), [user("bert", "staff")]);
    assert_eq!(passwd(&folder, &["-c", "-b", "users.txt", "carl", "x"], ""), (0, String::new()));
    assert_eq!(users(&folder), [user("carl", "")]);
}

#[test]
fn users_are_put_in_groups_and_keep_their_passwords() {
    let folder = folder("passwd_groups");
    assert_eq!(passwd(&folder, &["-g", "night,staff", "users.txt", "anna"], "one\n"), (0, String::new()));
    assert_eq!(users(&folder), [user("anna", "night,staff")], "a new user has a password too");
    let before = fs::read_to_string(folder.join("users.txt")).expect("it is there");
    assert_eq!(passwd(&folder, &["--groups", "day", "users.txt", "anna"], ""), (0, String::new()));
    let after = fs::read_to_string(folder.join("users.txt")).expect("it is there");
    assert_eq!(after, before.replace("night,staff", "day"), "nothing else has changed");
    assert_eq!(passwd(&folder, &["-b", "-g", "", "users.txt", "anna", "two"], ""), (0, String::new()));
    assert_eq!(users(&folder), [user("anna", "")], "with a password both change");
    let after = fs::read_to_string(folder.join("users.txt")).expect("it is there");
    assert!(!before.starts_with(after.trim_end()), "the password is another one");
    for groups in ["a b:c", ",", " a"] {
        let (code, stderr) = passwd(&folder, &["-g", groups, "users.txt", "anna"], "");
        assert!(code == 1 && stderr.contains("is no name of a group"), "{groups:?}: {stderr}");
    }
}

#[test]
fn plain_passwords_are_hashed_and_hashes_left_alone() {
    let folder = folder("passwd_plain");
    assert_eq!(passwd(&folder, &["-b", "users.txt", "anna", "one"], "").0, 0);
    let hashed = fs::read_to_string(folder.join("users.txt")).expect("it is there");
    fs::write(folder.join("users.txt"), format!("{hashed}bert:plain\n")).expect("a writable folder");
    assert_eq!(passwd(&folder, &["-U", "users.txt"], ""), (0, String::new()));
    assert_eq!(users(&folder), [user("anna", ""), user("bert", "")]);
    assert!(fs::read_to_string(folder.join("users.txt")).expect("it is there").starts_with(&hashed));
}

#[test]
fn what_cannot_be_done_is_told_and_changes_nothing() {
    let folder = folder("passwd_wrong");
    assert_eq!(passwd(&folder, &["-b", "users.txt", "anna", "one"], "").0, 0);
    let before = fs::read_to_string(folder.join("users.txt")).expect("it is there");
    for (arguments, input, code, said) in [
        (&["users.txt", "bert"][..], "", 1, "Empty password"),
        (&["-b", "users.txt", "a:b", "x"], "", 1, "a user name is not empty"),
        (&["-D", "users.txt", "bert"], "", 1, "user \"bert\" is not in users.txt"),
        (&["-D", "none.txt", "bert"], "", 1, "No such file"),
        (&["-b", "none/users.txt", "bert", "x"], "", 1, "No such file"),
        (&["-b", "users.txt", "bert"], "", 2, "PASSWORD"),
        (&["users.txt"], "", 2, "NAME"),
        (&["-D", "-g", "a", "users.txt", "anna"], "", 2, "cannot be used with"),
        (&["-c", "-D", "users.txt", "anna"], "", 2, "cannot be used with"),
    ] {
        let (found, stderr) = passwd(&folder, arguments, input);
        assert_eq!(found, code, "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
        assert_eq!(fs::read_to_string(folder.join("users.txt")).expect("it is there"), before);
    }
    assert_eq!(outcome(&mut noctule(&folder, &["passwd", "--help"])).0, 0);
}
