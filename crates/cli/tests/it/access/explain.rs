//! `noctule explain` says what the broker does.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{folder, noctule, outcome};

/// The rules of `docs/security.md`, and a user of one of their groups.
fn configured(test: &str) -> PathBuf {
    let folder = folder(test);
    let rules = "deny retain # client=guest-*\nallow publish sensors/%u/# group=sensors qos=0,1\n";
    fs::write(folder.join("rules.txt"), rules).expect("a writable folder");
    assert_eq!(outcome(&mut noctule(&folder, &["passwd", "-b", "users.txt", "t7", "x"])).0, 0);
    let users = folder.join("users.txt");
    let text = fs::read_to_string(&users).expect("it was made");
    fs::write(&users, format!("{}:sensors\n", text.trim_end())).expect("a writable folder");
    let config = "[access]\nusers = [\"users.txt\"]\nrules = \"rules.txt\"\n";
    fs::write(folder.join("noctule.toml"), config).expect("a writable folder");
    folder
}

fn explain(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let arguments = [&["explain"], arguments, &["--config", "noctule.toml"]].concat();
    let (code, stdout, stderr) = outcome(&mut noctule(folder, &arguments));
    (code, stdout + &stderr)
}

#[test]
fn the_exit_code_is_the_answer_and_the_rule_is_named() {
    let folder = configured("explain");
    let cases: [(&[&str], i32, &str); 8] = [
        (&["publish", "--user", "t7", "--topic", "sensors/t7/temp", "--qos", "1"], 0, "rules.txt:2"),
        (&["publish", "--user", "t7", "--topic", "sensors/t7/temp", "--qos", "2"], 1, "is about other QoS"),
        (&["publish", "--user", "t7", "--topic", "sensors/t8/temp"], 1, "no rule is about it"),
        (
            &["publish", "--user", "t7", "--client", "guest-3", "--topic", "sensors/t7/temp", "--retain"],
            1,
            "rules.txt:1",
        ),
        (&["subscribe", "--user", "t7", "--topic", "sensors/#"], 1, "no rule is about it"),
        (&["receive", "--user", "t7", "--topic", "sensors/t7/temp"], 1, "no rule is about it"),
        (&["connect", "--user", "t7", "--address", "192.0.2.7"], 0, "users.txt:1"),
        (&["connect", "--address", "192.0.2.7"], 1, "clients from this address need a user name"),
    ];
    for (arguments, code, said) in cases {
        let (found, text) = explain(&folder, arguments);
        assert_eq!(found, code, "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

#[test]
fn programs_read_json() {
    let folder = configured("explain_json");
    let (code, text) =
        explain(&folder, &["publish", "--user", "t7", "--topic", "sensors/t7/temp", "-o", "json"]);
    let object: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, &object["allowed"], &object["source"]), (0, &true.into(), &"rules.txt:2".into()));
}

#[test]
fn a_wrong_question_or_configuration_is_told_with_2() {
    let folder = configured("explain_wrong");
    assert_eq!(explain(&folder, &["publish"]).0, 2);
    assert_eq!(explain(&folder, &["enter"]).0, 2);
    fs::write(folder.join("rules.txt"), "allow\n").expect("a writable folder");
    let (code, text) = explain(&folder, &["connect"]);
    assert_eq!(code, 2);
    assert!(text.contains("rules.txt:1:"), "{text}");
}
