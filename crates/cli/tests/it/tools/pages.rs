//! `noctule man`: manual pages of every command, read by the programs that show them.

use std::fs;
use std::process::Command;

use noctule_tools::flags::Flag;
use noctule_tools::{Program, Tool};

use crate::support::{folder, noctule, outcome};

#[test]
fn every_page_is_well_formed() {
    let folder = folder("man_pages");
    let made = outcome(&mut noctule(&folder, &["man", "--dir", "man1"]));
    assert_eq!(made, (0, String::new(), String::new()));
    let mut names: Vec<String> = fs::read_dir(folder.join("man1"))
        .expect("the pages")
        .map(|entry| entry.expect("a page").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    for wanted in
        ["noctule.1", "noctule-pub.1", "noctule-sub.1", "noctule-bench-p2p.1", "noctule-config-show.1"]
    {
        assert!(names.iter().any(|name| name == wanted), "{wanted}: {names:?}");
    }
    let mut lint = Command::new("mandoc");
    lint.current_dir(folder.join("man1")).args(["-Tlint", "-Wwarning"]).args(&names);
    let output = lint.output().expect("mandoc is installed; cargo xtask setup does that");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    // The pages have no date: it would be that of the build.
    let faults: Vec<&str> = said.lines().filter(|line| !line.contains("cannot parse date")).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn pages_of_tools_have_every_flag_under_every_name() {
    let folder = folder("man_flags");
    for tool in Tool::ALL {
        let name = Program { tool, is_linked: false }.name();
        let command = name.strip_prefix("noctule ").expect("a command");
        let (code, page, stderr) = outcome(&mut noctule(&folder, &["man", command]));
        assert_eq!((code, &*stderr), (0, ""));
        let page = page.replace("\\-", "-");
        for name in Flag::of(tool).flat_map(Flag::all_names) {
            let places = page.match_indices(name).map(|(at, _)| page[at + name.len()..].chars().next());
            let mut ends = places.map(|next| !next.is_some_and(|next| next.is_alphanumeric() || next == '-'));
            assert!(ends.any(|is_whole| is_whole), "{command}: {name}");
        }
        assert!(page.contains("EXAMPLES") && page.contains("EXIT STATUS"), "{page}");
    }
}

/// What help says of a command that clap parses, its page says too.
#[test]
fn pages_of_commands_have_what_their_help_has() {
    let folder = folder("man_help");
    for words in
        [&["serve"][..], &["bench", "p2p"], &["store", "backup"], &["config", "show"], &["passwd"], &["man"]]
    {
        let (_, help, _) = outcome(&mut noctule(&folder, &[words, &["--help"]].concat()));
        let (_, page, _) = outcome(&mut noctule(&folder, &[&["man"], words].concat()));
        let page = page.replace("\\-", "-");
        let flags = help.split_whitespace().map(|word| word.trim_end_matches(','));
        let flags: Vec<&str> = flags.filter(|word| word.starts_with("--") && word.len() > 2).collect();
        assert!(flags.len() >= 2, "{words:?}: {help}");
        for flag in flags {
            assert!(page.contains(flag), "{words:?}: {flag}");
        }
    }
}

#[test]
fn a_page_that_is_not_there_and_a_folder_that_cannot_be() {
    let folder = folder("man_wrong");
    let (code, _, stderr) = outcome(&mut noctule(&folder, &["man", "pbu"]));
    assert_eq!(
        (code, &*stderr),
        (2, "noctule: there is no page noctule-pbu; noctule --help has the commands\n")
    );
    fs::write(folder.join("file"), "").expect("a writable folder for tests");
    let (code, _, stderr) = outcome(&mut noctule(&folder, &["man", "--dir", "file"]));
    assert!(code == 1 && stderr.starts_with("noctule: cannot write file: "), "{stderr}");
}

/// Help is told by the tool itself, however it is asked for.
#[test]
fn help_of_a_tool_by_either_way() {
    let folder = folder("help_tool");
    let asked = outcome(&mut noctule(&folder, &["help", "sub"]));
    assert_eq!(asked, outcome(&mut noctule(&folder, &["sub", "--help"])));
    assert!(asked.0 == 0 && asked.1.contains("Exit codes:\n  0    all went well\n"), "{asked:?}");
}
