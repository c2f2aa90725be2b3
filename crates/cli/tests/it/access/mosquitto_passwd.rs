//! The binary linked as `mosquitto_passwd` beside the real one: the same words and exit codes, and files that read
//! alike.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::mosquitto::{Mosquitto, program};
use crate::support::folder;

/// What a run comes to: exit code, standard output and error, and the file with its hashes cut to their beginnings.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    file: Option<String>,
}

fn run(mut tool: Command, folder: &Path, file: Option<&str>, arguments: &[&str], input: &str) -> Outcome {
    let path = folder.join("f");
    let _ = fs::remove_file(&path);
    file.iter().for_each(|text| fs::write(&path, text).expect("a writable folder"));
    let piped = tool.current_dir(folder).args(arguments).stdin(Stdio::piped());
    let mut child = piped.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool");
    // It may end before it has read anything.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Outcome {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        file: fs::read_to_string(&path).ok().map(|text| text.lines().map(without_salt).collect()),
    }
}

/// `u:$7$101$…$…` as it is before the salt; other lines as they are.
fn without_salt(line: &str) -> String {
    let salt = line.find("$7$101$").map(|at| at + 7).or(line.find("$6$").map(|at| at + 3));
    match salt {
        Some(at) => format!("{}…{}\n", &line[..at], line.len()),
        None => format!("{line}\n"),
    }
}

#[test]
fn it_says_and_does_what_the_real_tool_does() {
    let folder = folder("mosquitto_passwd");
    let ours = folder.join("mosquitto_passwd");
    symlink(env!("CARGO_BIN_EXE_noctule"), &ours).expect("a writable folder");
    let two = "anna:$6$AAAAAAAAAAAAAAAA$x\nbert:plain\n";
    let cases: [(Option<&str>, &[&str], &str); 42] = [
        (None, &["-c", "-b", "f", "anna", "secret"], ""),
        (Some(two), &["-c", "-b", "f", "carl", "secret"], ""),
        (Some(two), &["-b", "f", "carl", "secret"], ""),
        (Some(two), &["-b", "f", "bert", "secret"], ""),
        (Some("a:1\nb:2\na:3\n"), &["-b", "f", "a", "new"], ""),
        (Some("a:1\nb:2\na:3\n"), &["-D", "f", "a"], ""),
        (Some(two), &["-H", "sha512", "-b", "f", "bert", "secret"], ""),
        (Some(two), &["-b", "-H", "sha512-pbkdf2", "f", "bert", "secret"], ""),
        (Some(two), &["-H", "md5", "-b", "f", "bert", "secret"], ""),
        (Some(two), &["-H"], ""),
        (Some(two), &["-D", "f", "anna"], ""),
        (Some(two), &["-D", "f", "nobody"], ""),
        (None, &["-D", "f", "nobody"], ""),
        (None, &["-b", "f", "anna", "secret"], ""),
        (None, &["-c", "-b", "none/f", "anna", "secret"], ""),
        (Some(two), &["-b", "f", "an:na", "secret"], ""),
        (Some(two), &["f", "an:na"], "x\nx\n"),
        (Some(two), &["-b", "f", "an\nna", "secret"], ""),
        (Some(two), &["-b", "f", "an\tna", "secret"], ""),
        (Some(two), &["f", "carl"], "secret\nsecret\n"),
        (Some(two), &["f", "carl"], "secret\r\nsecret\r\n"),
        (Some(two), &["f", "carl"], "secret\nother\n"),
        (Some(two), &["f", "carl"], "secret\n"),
        (Some(two), &["f", "carl"], "\n"),
        (Some(two), &["f", "carl"], ""),
        (None, &["f", "carl"], "secret\nsecret\n"),
        (Some(two), &["-c", "f", "carl"], "secret\nother\n"),
        (Some(two), &["-c", "f", "carl"], "secret\nsecret\n"),
        (Some("a:b\nu:pa ss \nw:x:y\n"), &["-U", "f"], ""),
        (Some("a:b\n# comment\n"), &["-U", "f"], ""),
        (Some("a:b\nk:\n"), &["-U", "f"], ""),
        (None, &["-U", "f"], ""),
        (None, &["-U"], ""),
        (None, &["-D"], ""),
        (None, &["-c"], ""),
        (None, &["-b", "-c", "f"], ""),
        (Some(two), &["-c", "-D", "f", "a"], ""),
        (Some(two), &["-c", "-U", "f"], ""),
        (Some(two), &["-b", "-D", "f", "a"], ""),
        (Some(two), &["-b", "f", "a"], ""),
        (Some(two), &["-x", "f", "a"], ""),
        (Some(two), &["f"], ""),
    ];
    for (file, arguments, input) in cases {
        let theirs = run(program("mosquitto_passwd"), &folder, file, arguments, input);
        let ours = run(Command::new(&ours), &folder, file, arguments, input);
        assert_eq!(ours, theirs, "{arguments:?} with {file:?} and {input:?}");
    }
}

#[test]
fn a_file_with_a_line_that_is_not_understood_stays_as_it_is() {
    let folder = folder("mosquitto_passwd_corrupt");
    let ours = folder.join("mosquitto_passwd");
    symlink(env!("CARGO_BIN_EXE_noctule"), &ours).expect("a writable folder");
    let file = "a:b\n# comment\nc:d\n";
    for arguments in [&["-b", "f", "new", "x"][..], &["-D", "f", "a"], &["-U", "f"]] {
        let outcome = run(Command::new(&ours), &folder, Some(file), arguments, "");
        let expected = ("Error: Corrupt password file at line 2.\n", Some(file));
        assert_eq!((outcome.stderr.as_str(), outcome.file.as_deref()), expected);
        assert_eq!(outcome.code, Some(1));
    }
}

#[test]
fn a_new_file_takes_the_place_of_whatever_was_there() {
    let folder = folder("mosquitto_passwd_new");
    let ours = folder.join("mosquitto_passwd");
    symlink(env!("CARGO_BIN_EXE_noctule"), &ours).expect("a writable folder");
    fs::write(folder.join("passwd"), b"\xFF\xFE no text\n").expect("a writable folder");
    let made =
        Command::new(&ours).current_dir(&folder).args(["-c", "-b", "passwd", "anna", "secret"]).status();
    assert!(made.expect("it").success());
    let text = fs::read_to_string(folder.join("passwd")).expect("a text");
    assert!(text.starts_with("anna:$7$101$") && text.lines().count() == 1, "{text}");
}

#[test]
fn mosquitto_believes_the_hashes() {
    let folder = folder("mosquitto_believes");
    let ours = folder.join("mosquitto_passwd");
    symlink(env!("CARGO_BIN_EXE_noctule"), &ours).expect("a writable folder");
    let hash = |arguments: &[&str]| {
        assert!(Command::new(&ours).current_dir(&folder).args(arguments).status().expect("it").success());
    };
    hash(&["-c", "-b", "passwd", "anna", "one"]);
    hash(&["-H", "sha512", "-b", "passwd", "bert", "two"]);
    let mosquitto = Mosquitto::start(&folder, "allow_anonymous false\npassword_file passwd\n");
    let port = mosquitto.address.port().to_string();
    let comes_in = |user: &str, password: &str| {
        let arguments =
            ["-h", "127.0.0.1", "-p", &port, "-u", user, "-P", password, "-t", "t", "-m", "x", "-q", "1"];
        let published = program("mosquitto_pub").args(arguments).stderr(Stdio::null()).status();
        published.expect("mosquitto-clients").success()
    };
    assert!(comes_in("anna", "one") && comes_in("bert", "two"));
    assert!(!comes_in("anna", "two") && !comes_in("bert", "one"));
}
