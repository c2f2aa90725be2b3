//! `noctule tree` and `noctule top`, in a terminal and without one.

use serde_json::Value;

use super::ours::{Place, restart};
use super::terminal::Terminal;
use crate::support::noctule;

/// The lines of a screen that are not empty.
fn filled(screen: &[String]) -> Vec<&str> {
    screen.iter().map(String::as_str).filter(|line| !line.is_empty()).collect()
}

/// A broker that has retained some messages.
fn place(test: &str) -> Place {
    let place = Place::new(test);
    for (topic, payload) in [("line1/temp", "21.5"), ("line1/state", "on"), ("line2/temp", "19")] {
        place.printed(&format!("pub -t {topic} -m {payload} -r -q 1"));
    }
    place
}

/// A tool in a terminal, at the broker of the place.
fn terminal(place: &Place, size: (u16, u16), words: &[&str]) -> Terminal {
    let server = ["-h", "127.0.0.1", "-p", &place.port];
    Terminal::new(&place.folder, size, &[&words[..1], &server, &words[1..]].concat())
}

/// Takes the age at the end of a line away.
fn ageless(line: &str) -> String {
    let line = line
        .strip_suffix(" s")
        .map_or(line, |line| line.trim_end_matches(|letter: char| letter.is_ascii_digit()));
    line.trim_end().to_owned()
}

#[test]
fn the_tree_in_a_terminal() {
    let place = place("tree_terminal");
    let terminal = terminal(&place, (60, 10), &["tree", "-t", "#"]);
    let screen = terminal.wait_for_text("3 topics, 3 messages");
    let lines: Vec<String> = filled(&screen).into_iter().map(ageless).collect();
    assert_eq!(
        lines,
        [
            "#  3 topics, 3 messages",
            "▾ line1                                            2",
            "    state on                              R        1",
            "    temp  21.5                            R        1",
            "▾ line2                                            1",
            "    temp  19                              R        1",
            "q quit  ↑↓ move  ←→ fold  +- all  / search  n N next",
        ]
    );

    // What comes is shown at once.
    place.printed("pub -t line2/temp -m 20 -q 1");
    terminal.wait_for("the new value", |screen| {
        filled(screen).iter().any(|line| line.starts_with("    temp  20 ") && line.contains("R        2"))
    });

    // Folding, and unfolding by a search.
    terminal.press(&["Left"]);
    let screen = terminal.wait_for_text("▸ line1");
    assert!(!screen.iter().any(|line| line.contains("state")), "{screen:#?}");
    terminal.press(&["/", "s", "t", "a"]);
    let screen = terminal.wait_for_text("/sta_");
    assert!(screen.iter().any(|line| line.contains("state on")), "{screen:#?}");
    terminal.press(&["Enter"]);
    terminal.wait_for_text("/sta  Esc forgets it");

    // Another size is another picture: values are cut before marks, lines before the head and the keys.
    terminal.press(&["Escape"]);
    terminal.wait_for_text("q quit");
    terminal.press(&["Home"]);
    terminal.resize(30, 5);
    terminal.wait_for("a small screen", |screen| {
        screen
            == [
                "#  3 topics, 4 messages",
                "▾ line1",
                "    state on                 R",
                "    temp  21.5               R",
                "q quit  ↑↓ move  ←→ fold  +- a",
            ]
    });
    terminal.resize(12, 2);
    terminal.wait_for("a tiny screen", |screen| screen == ["#  3 topics,", "▾ line1"]);
    terminal.resize(60, 10);
    terminal.wait_for("the whole", |screen| {
        let lines: Vec<String> = filled(screen).into_iter().map(ageless).collect();
        let wanted = [
            "▾ line1                                            2",
            "    state on                              R        1",
            "    temp  21.5                            R        1",
            "▾ line2                                            2",
            "    temp  20                              R        2",
        ];
        lines.iter().skip(1).take(wanted.len()).eq(&wanted)
    });

    terminal.press(&["q"]);
    let screen = terminal.wait_for_text("ended with 0");
    assert_eq!(filled(&screen), ["ended with 0"], "the terminal is as it was");
}

#[test]
fn the_tree_without_a_terminal() {
    let place = place("tree_text");
    let text = place.printed("tree -W 1");
    let lines: Vec<&str> =
        text.lines().map(|line| line.rsplit_once(", ").map_or(line, |(line, _)| line)).collect();
    assert_eq!(
        lines,
        [
            "line1",
            "├─ state = on  (retained, 1 message",
            "└─ temp = 21.5  (retained, 1 message",
            "line2",
            "└─ temp = 19  (retained, 1 message",
        ]
    );
    let json = place.printed("tree --json -t line1/# -W 1");
    let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects.len(), 2, "{json}");
    assert_eq!((&objects[1]["topic"], &objects[1]["payload"]), (&"line1/temp".into(), &"21.5".into()));
    assert_eq!(objects[1]["retained"], true);

    let long = "ö".repeat(5_000);
    std::fs::write(place.folder.join("long"), &long).expect("a writable folder for tests");
    place.printed("pub -t long -f long -r -q 1");
    let json = place.printed("tree --json -t long -W 1");
    let object: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&object["payload"], &object["payload_bytes"]), (&long.into(), &10_000.into()));
}

#[test]
fn ctrl_c_and_a_lost_broker_leave_the_terminal_as_it_was() {
    let mut place = place("tree_end");
    let terminal = terminal(&place, (60, 10), &["tree"]);
    terminal.wait_for_text("3 topics");
    drop(place.broker.take().expect("a broker").kill());
    terminal.wait_for_text("connection lost, trying again");
    restart(&mut place);
    // The broker keeps what is retained; it comes again.
    terminal
        .wait_for("the connection", |screen| screen[0].contains("6 messages") && !screen[0].contains("lost"));
    drop(place.broker.take().expect("a broker").kill());
    terminal.wait_for_text("connection lost, trying again");
    terminal.press(&["C-c"]);
    let screen = terminal.wait_for_text("ended with 0");
    assert_eq!(filled(&screen), ["ended with 0"]);
}

/// A shell that stops the program and goes on with it.
#[test]
fn ctrl_z_gives_the_terminal_back_for_a_while() {
    let place = place("tree_stop");
    let program = noctule(&place.folder, &[]).get_program().to_string_lossy().into_owned();
    let terminal = Terminal::with(
        &place.folder,
        (70, 10),
        "exec env -i TERM=\"$TERM\" PS1='ready> ' bash --norc --noprofile -i",
    );
    terminal.wait_for_text("ready>");
    terminal.press(&[&format!("'{program}' tree -h 127.0.0.1 -p {}", place.port), "Enter"]);
    terminal.wait_for_text("3 topics");
    terminal.press(&["C-z"]);
    terminal.wait_for_text("Stopped");
    terminal.press(&["clear; echo typed", "Enter"]);
    terminal.wait_for("what is typed", |screen| screen.iter().any(|line| line == "typed"));
    terminal.press(&["fg", "Enter"]);
    let screen = terminal.wait_for_text("3 topics");
    assert!(screen[1].starts_with("▾ line1"), "{screen:#?}");
    terminal.press(&["q"]);
    terminal.wait_for("the shell", |screen| {
        screen.iter().any(|line| line == "typed") && !screen[0].contains("topics")
    });
}

/// Nothing can be drawn there; the tools print what they print without a terminal.
#[test]
fn a_dumb_terminal_has_text() {
    let place = place("dumb");
    let program = noctule(&place.folder, &[]).get_program().to_string_lossy().into_owned();
    for name in ["TERM=dumb", "TERM=", "A=b"] {
        let line = format!("env -i {name} '{program}' tree -h 127.0.0.1 -p {}; exec cat", place.port);
        let terminal = Terminal::with(&place.folder, (70, 10), &line);
        let screen = terminal.wait_for_text("temp = 19");
        assert_eq!(screen[0], "line1", "{name}: {screen:#?}");
    }
}

#[test]
fn top_in_a_terminal() {
    let place = place("top_terminal");
    let terminal = terminal(&place, (70, 10), &["top", "--interval", "0.2"]);
    let screen = terminal.wait_for_text("line2/temp");
    assert!(screen[0].contains("3 messages") && screen[1].contains("vMSG/S"), "{screen:#?}");

    // In the order of topics, then the other way round.
    terminal.press(&["n"]);
    let screen = terminal.wait_for_text("vTOPIC");
    let topics = |screen: &[String]| -> Vec<String> {
        let lines = screen.iter().filter(|line| line.contains(" s  line"));
        lines.filter_map(|line| line.split_whitespace().last().map(str::to_owned)).collect()
    };
    assert_eq!(topics(&screen), ["line1/state", "line1/temp", "line2/temp"]);
    terminal.press(&["r"]);
    let screen = terminal.wait_for_text("^TOPIC");
    assert_eq!(topics(&screen), ["line2/temp", "line1/temp", "line1/state"]);

    // A filter, and no more of it.
    terminal.press(&["/", "s", "t", "a", "Enter"]);
    terminal.wait_for("the filter", |screen| topics(screen) == ["line1/state"]);
    terminal.press(&["Escape"]);
    terminal.wait_for("everything", |screen| topics(screen).len() == 3);

    // A pause holds the figures; what has come meanwhile is there behind it.
    terminal.press(&["p"]);
    terminal.wait_for_text("paused");
    place.printed("pub -t new -m x -q 1");
    terminal.press(&["p"]);
    terminal.wait_for("the new topic", |screen| {
        screen.iter().any(|line| line.ends_with("  new")) && !screen[0].contains("paused")
    });

    // Narrower, figures give way to topics; shorter, lines do.
    terminal.resize(24, 4);
    terminal
        .wait_for("a small screen", |screen| screen[1..] == ["  ^TOPIC", "  new", "q quit  m b t l n sort"]);
    terminal.resize(70, 10);
    terminal.wait_for("the whole", |screen| {
        screen[1].ends_with("BYTES/S     TOTAL    LAST  ^TOPIC") && topics(screen).len() == 3
    });
    terminal.press(&["q"]);
    assert_eq!(filled(&terminal.wait_for_text("ended with 0")), ["ended with 0"]);
}

#[test]
fn top_without_a_terminal() {
    let place = place("top_text");
    let json = place.printed("top --json --interval 0.3 -C 2");
    let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects.len(), 2, "{json}");
    assert_eq!(
        (&objects[1]["messages"], objects[1]["topics"].as_array().map(Vec::len)),
        (&3.into(), Some(3))
    );

    let text = place.printed("top -C 1 --sort topic");
    let topics: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(topics[..4], ["TOPIC", "line1/state", "line1/temp", "line2/temp"], "{text}");

    for (line, error) in [
        (
            "top --sort size",
            "Error: Invalid sort key 'size', it must be rate, bytes, total, last or topic.\n",
        ),
        ("top --interval 0", "Error: --interval argument must be between 0.01 and 86400 seconds.\n"),
        ("tree -d", "Error: Unknown option '-d'.\n"),
    ] {
        let (code, _, stderr) = place.said(line);
        assert_eq!((code, stderr.starts_with(error)), (1, true), "{line}: {stderr}");
    }
}
