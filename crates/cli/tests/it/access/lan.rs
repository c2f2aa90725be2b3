//! From nothing to a broker with passwords: the commands of `docs/security.md`, as they stand there.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use noctule_codec::{ProtocolVersion, ReasonCode};

use super::mosquitto::program;
use crate::peer::Peer;
use crate::support::{Broker, folder, noctule, outcome};

use ProtocolVersion::{V3_1_1, V5};

/// The commands of the page, line by line.
fn documented() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/security.md");
    let page = fs::read_to_string(page).expect("the page");
    let (_, behind) = page.split_once("## From nothing to passwords").expect("the section");
    let block = behind.split("```").nth(1).expect("its commands");
    block.lines().skip(1).map(str::to_owned).collect()
}

fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().map(|word| word.trim_matches('\'')).collect()
}

/// Runs `noctule` with this on standard input.
fn with_input(command: &mut Command, input: &str) -> (i32, String) {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the binary");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    (output.status.code().expect("an exit code"), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn three_commands_make_a_broker_with_passwords() {
    let commands = documented();
    let [make_user, serve, subscribe] = &commands[..] else { panic!("three commands: {commands:?}") };
    let folder = folder("three_commands");

    let words_of_user = words(make_user);
    assert_eq!(words_of_user[0], "noctule");
    let made = with_input(&mut noctule(&folder, &words_of_user[1..]), "secret\n");
    assert_eq!(made, (0, String::new()));
    assert_eq!(fs::metadata(folder.join("users.txt")).expect("it was made").mode() & 0o777, 0o600);

    // The test stays on this machine, so it asks of clients of this machine what is asked of others.
    let serve = serve.replace("tcp://0.0.0.0:1883", "tcp://127.0.0.1:0");
    let mut arguments = words(&serve);
    assert_eq!(arguments.remove(0), "noctule");
    arguments.extend(["--set", "access.anonymous=never"]);
    let mut broker = Broker::start(&mut noctule(&folder, &arguments));
    let address = broker.address();

    for version in [V3_1_1, V5] {
        let refused = |user| Peer::connect_as(address, version, "c", user).err();
        assert_eq!(refused(None), Some(ReasonCode::NotAuthorized));
        assert_eq!(refused(Some(("anna", "wrong"))), Some(ReasonCode::BadUserNameOrPassword));
        assert_eq!(refused(Some(("bert", "secret"))), Some(ReasonCode::BadUserNameOrPassword));
        assert_eq!(refused(Some(("anna", "secret"))), None);
    }

    let arguments = subscribe.replace("BROKER", "127.0.0.1");
    let arguments = words(&arguments);
    let port = address.port().to_string();
    let mut subscriber = program(arguments[0]);
    let subscriber = subscriber.args(&arguments[1..]).args(["-p", &port, "-C", "1", "-W", "20", "-E"]);
    assert!(subscriber.status().expect("mosquitto-clients").success(), "it is let in and granted");

    let (_, stderr) = broker.end();
    let line = |text: &str| stderr.lines().filter(|line| line.contains(text)).count();
    assert_eq!(line("the password of user \\\"anna\\\" (users.txt:1) is wrong"), 2, "{stderr}");
    assert_eq!(line("user \\\"bert\\\" is in none of the files of users"), 2, "{stderr}");
    assert_eq!(line("it has no user name, comes from 127.0.0.1"), 2, "{stderr}");
    assert_eq!(line("to let it in: `noctule passwd users.txt NAME`"), 6, "{stderr}");
    assert!(!stderr.contains("secret"), "no secret is logged: {stderr}");
}

#[test]
fn nothing_is_refused_on_this_machine_when_nothing_is_configured() {
    let folder = folder("unconfigured");
    let mut broker = Broker::start(&mut noctule(&folder, &["--listen", "tcp://127.0.0.1:0"]));
    let address = broker.address();
    for user in [None, Some(("anybody", "anything"))] {
        let mut client = Peer::connect_as(address, V5, "c", user).expect("it is let in");
        client.subscribe("#");
        client.round_trip("any/topic");
    }
}

#[test]
fn what_is_wrong_in_the_files_is_told_with_its_line() {
    let folder = folder("wrong_files");
    fs::write(folder.join("users.txt"), "# ours\nanna:secret\n").expect("a writable folder");
    fs::write(folder.join("rules.txt"), "allow all #\nallow everything #\n").expect("a writable folder");
    let config =
        "data_dir = \"data\"\n[access]\nusers = [\"users.txt\", \"none.txt\"]\nrules = \"rules.txt\"\n";
    fs::write(folder.join("noctule.toml"), config).expect("a writable folder");
    let (code, _, said) = outcome(&mut noctule(&folder, &["--config", "noctule.toml"]));
    assert_eq!(code, 2, "{said}");
    let (checked, _, same) = outcome(&mut noctule(&folder, &["config", "check", "noctule.toml"]));
    assert_eq!(checked, 1, "{same}");
    for text in [
        "users.txt:2:6: a hashed password begins with $argon2id$",
        "none.txt: the file cannot be read",
        "rules.txt:2:7: ",
    ] {
        assert!(said.contains(text) && same.contains(text), "{text}\n{said}\n{same}");
    }
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn files_that_others_can_read_are_told_and_foreign_links_are_refused() {
    let folder = folder("open_files");
    let file = folder.join("users.txt");
    assert_eq!(with_input(&mut noctule(&folder, &["passwd", "-b", "users.txt", "anna", "x"]), "").0, 0);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("our own file");
    let arguments = ["--listen", "tcp://127.0.0.1:0", "--access-users", "users.txt"];
    let mut broker = Broker::start(&mut noctule(&folder, &arguments));
    broker.ready();
    let (_, stderr) = broker.end();
    assert!(stderr.contains("users.txt has secrets in it and can be used by everybody"), "{stderr}");

    // Only root can make a link that belongs to somebody else.
    if rustix::process::geteuid().is_root() {
        let link = folder.join("link");
        symlink("users.txt", &link).expect("a writable folder");
        std::os::unix::fs::lchown(&link, Some(12_345), None).expect("root may");
        let arguments = ["--listen", "tcp://127.0.0.1:0", "--access-users", "link"];
        let (code, _, stderr) = outcome(&mut noctule(&folder, &arguments));
        assert_eq!(code, 2);
        assert!(stderr.contains("link: the file is a link of user 12345"), "{stderr}");
    }
}

#[test]
fn keys_that_others_can_read_are_told_and_foreign_links_are_refused() {
    let folder = folder("open_keys");
    assert_eq!(outcome(&mut noctule(&folder, &["tls", "init", "--dir", "."])).0, 0);
    fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o644)).expect("our own file");
    let start = |key: &str| {
        let key = format!("tls.key={key}");
        let settings = ["--set", "tls.certificate=server.pem", "--set", &key, "--set", "durability=memory"];
        noctule(&folder, &[&["--listen", "tls://127.0.0.1:0"], &settings[..]].concat())
    };
    let mut broker = Broker::start(&mut start("server.key"));
    broker.ready();
    let (_, stderr) = broker.end();
    assert!(stderr.contains("server.key has secrets in it and can be used by everybody"), "{stderr}");

    if rustix::process::geteuid().is_root() {
        let link = folder.join("link.key");
        symlink("server.key", &link).expect("a writable folder");
        std::os::unix::fs::lchown(&link, Some(12_345), None).expect("root may");
        let (code, _, stderr) = outcome(&mut start("link.key"));
        assert_ne!(code, 0);
        assert!(stderr.contains("link.key: the file is a link of user 12345"), "{stderr}");
    }
}

#[test]
fn mosquittos_hashes_become_argon2id_at_the_first_login_in_our_own_file_alone() {
    let folder = folder("renewed_hashes");
    for file in ["users.txt", "passwd"] {
        let mut tool = program("mosquitto_passwd");
        let made = tool.current_dir(&folder).args(["-c", "-b", file, file, "secret"]).status();
        assert!(made.expect("Debian package mosquitto").success());
    }
    let read = |file: &str| fs::read_to_string(folder.join(file)).expect("it is there");
    let theirs = read("passwd");
    fs::write(folder.join("users.txt"), format!("# ours\n{}", read("users.txt"))).expect("a writable folder");
    let arguments = [
        "--listen",
        "tcp://127.0.0.1:0",
        "--access-users",
        "users.txt",
        "--set",
        "access.mosquitto_password_file=passwd",
    ];
    let mut broker = Broker::start(&mut noctule(&folder, &arguments));
    let address = broker.address();
    let comes_in = |user: &str| Peer::connect_as(address, V5, user, Some((user, "secret"))).is_ok();
    assert!(comes_in("passwd") && comes_in("users.txt"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !read("users.txt").contains("users.txt:$argon2id$") {
        assert!(Instant::now() < deadline, "{}", read("users.txt"));
        std::thread::yield_now();
    }
    assert!(read("users.txt").starts_with("# ours\n"));
    assert!(comes_in("passwd") && comes_in("users.txt"), "the old hash is still known");
    broker.end();
    assert_eq!(read("passwd"), theirs, "what is mosquitto's is never written");
    let mut broker = Broker::start(&mut noctule(&folder, &arguments));
    let address = broker.address();
    assert!(Peer::connect_as(address, V5, "c", Some(("users.txt", "secret"))).is_ok());
    assert!(Peer::connect_as(address, V5, "c", Some(("users.txt", "wrong"))).is_err());
}
