//! Help, version and wrong command lines.

use crate::support::{folder, noctule, outcome};

#[test]
fn version_is_one_line() {
    let expected = format!("noctule {}\n", env!("CARGO_PKG_VERSION"));
    let folder = folder("version");
    assert_eq!(outcome(&mut noctule(&folder, &["--version"])), (0, expected, String::new()));
}

#[test]
fn help_names_every_command_and_flag() {
    let folder = folder("help");
    for arguments in [&["help"][..], &["--help"], &["-h"]] {
        let (code, text, _) = outcome(&mut noctule(&folder, arguments));
        assert_eq!(code, 0);
        for part in [
            "serve",
            "config",
            "bench",
            "prove",
            "store",
            "--config <FILE>",
            "--data-dir <DIR>",
            "--listen <URL>",
            "--http <ADDR|off>",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }
    let (_, text, _) = outcome(&mut noctule(&folder, &["help", "serve"]));
    for part in [
        "--durability <LEVEL>",
        "--shards <N>",
        "--log <FILTER>",
        "--log-format <FORMAT>",
        "--set <KEY=VALUE>",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    // Lines are wrapped at the width of the terminal.
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Where MQTT clients connect; replaces the default"), "{text}");
    assert!(words.contains("[default: tcp://localhost:1883]"), "{text}");
    assert!(words.contains("limits.packet_bytes_max Longest packet accepted limits."), "{text}");
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let folder = folder("wrong");
    for (arguments, part) in [
        (&["sevre"][..], "serve"),
        (&["--lisen", "tcp://localhost:1883"], "--listen"),
        (&["--shards"], "--shards <N>"),
        (&["--shards", "1", "--shards", "1"], "--shards"),
        (&["config"], "Usage: noctule config <COMMAND>"),
        (&["config", "check"], "<FILE>"),
        (&["config", "shwo"], "show"),
        (&["--log", "info", "config", "show"], "--log"),
    ] {
        let (code, stdout, stderr) = outcome(&mut noctule(&folder, arguments));
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}
