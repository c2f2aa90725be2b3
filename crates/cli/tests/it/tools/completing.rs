//! `noctule completions`, asked by the shells themselves.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use noctule_tools::flags::Flag;
use noctule_tools::{Program, Tool};

use super::terminal::Terminal;
use crate::support::{folder, noctule, outcome};

/// The completions of a shell in a file of a folder, whose `bin` has the program under all its names.
fn prepare(test: &str, shell: &str, file: &str) -> PathBuf {
    let folder = folder(test);
    let (code, script, stderr) = outcome(&mut noctule(&folder, &["completions", shell]));
    assert_eq!((code, &*stderr), (0, ""));
    write(&folder, file, &script);
    fs::create_dir(folder.join("bin")).expect("a writable folder for tests");
    for name in ["noctule", "mosquitto_pub", "mosquitto_sub", "mosquitto_rr", "mosquitto_passwd"] {
        let link = symlink(env!("CARGO_BIN_EXE_noctule"), folder.join("bin").join(name));
        link.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    folder
}

fn write(folder: &Path, file: &str, text: &str) {
    fs::write(folder.join(file), text).expect("a writable folder for tests");
}

/// What a shell prints for a script of ours.
fn shell(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new(words[0]);
    command.current_dir(folder).env_clear().env("HOME", folder).env("LC_ALL", "C.UTF-8");
    command.env("PATH", format!("{}/bin:/usr/bin:/bin", folder.display()));
    let (code, stdout, stderr) = outcome(command.args(&words[1..]));
    assert_eq!((code, &*stderr), (0, ""), "{words:?} (installed by cargo xtask setup)");
    stdout
}

/// What bash offers for the last of these words.
fn bash(folder: &Path, line: &str) -> Vec<String> {
    let script = format!(
        "source ./noctule.bash; words=({line} ''); [[ '{line}' == *' ' ]] || unset 'words[-1]'
         COMP_WORDS=(\"${{words[@]}}\"); COMP_CWORD=$((${{#words[@]}} - 1))
         compopt() {{ :; }}
         read -ra spec <<< \"$(complete -p \"${{words[0]}}\")\"
         for i in \"${{!spec[@]}}\"; do [[ ${{spec[i]}} == -F ]] && function=${{spec[i + 1]}}; done
         $function \"${{words[0]}}\" \"${{words[COMP_CWORD]}}\" \"${{words[COMP_CWORD - 1]}}\"
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let said = shell(folder, &["bash", "--noprofile", "--norc", "-c", &script]);
    said.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What fish offers for a line.
fn fish(folder: &Path, line: &str) -> Vec<String> {
    let script = format!("source noctule.fish; complete -C \"{line}\"");
    let said = shell(folder, &["fish", "--no-config", "-c", &script]);
    said.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

/// The tools by each of their names, and their flags.
fn tools() -> Vec<(String, BTreeSet<String>)> {
    let flags = |tool| Flag::of(tool).flat_map(|flag| flag.names).map(|name| (*name).to_owned()).collect();
    let mut tools = Vec::new();
    for tool in Tool::ALL {
        let command = Program { tool, is_linked: false };
        tools.push((command.name(), flags(tool)));
        tools.extend(command.linked_name().map(|name| (name.to_owned(), flags(tool))));
    }
    tools
}

#[test]
fn bash_offers_every_flag_and_what_may_follow_it() {
    let folder = prepare("complete_bash", "bash", "noctule.bash");
    for (tool, flags) in tools() {
        let offered: BTreeSet<String> = bash(&folder, &format!("{tool} -")).into_iter().collect();
        assert_eq!(offered, flags, "{tool}");
    }
    write(&folder, "certificate.pem", "");
    for (line, wanted) in [
        ("noctule re", &["record", "replay", "request"][..]),
        ("noctule sub -t a --retain-h", &["--retain-handling"]),
        ("noctule sub --retain-handling ", &["always", "new", "never"]),
        ("noctule pub -t sub -q ", &["0", "1", "2"]),
        ("mosquitto_sub --will-r", &["--will-retain"]),
        ("mosquitto_pub --cafile cert", &["certificate.pem"]),
        ("noctule serve --mos", &["--mosquitto"]),
        ("noctule bench p2", &["p2p"]),
        ("noctule bench p2p --publ", &["--publishers"]),
        ("noctule config sh", &["show"]),
        ("noctule explain connect -o ", &["text", "json"]),
        ("noctule completions ", &["bash", "zsh", "fish"]),
        ("mosquitto_passwd -", &["-b", "-c", "-D", "-U", "-H"]),
        ("mosquitto_passwd -H ", &["sha512", "sha512-pbkdf2"]),
    ] {
        let offered = bash(&folder, line);
        assert!(wanted.iter().all(|word| offered.iter().any(|offer| offer == word)), "{line}: {offered:?}");
        assert!(offered.len() < wanted.len() + 3, "{line}: {offered:?}");
    }
}

#[test]
fn fish_offers_every_flag_and_what_may_follow_it() {
    let folder = prepare("complete_fish", "fish", "noctule.fish");
    for (tool, flags) in tools() {
        // One hyphen makes fish offer letters, two words.
        let offered: BTreeSet<String> =
            ["-", "--"].iter().flat_map(|word| fish(&folder, &format!("{tool} {word}"))).collect();
        assert!(offered.is_superset(&flags), "{tool}: {:?}", flags.difference(&offered));
    }
    for (line, wanted) in [
        ("noctule rec", &["record"][..]),
        ("noctule sub --retain-handling ", &["always", "never", "new"]),
        ("mosquitto_rr -q ", &["0", "1", "2"]),
        ("noctule bench p2p --publ", &["--publishers"]),
        ("noctule store ba", &["backup"]),
        ("mosquitto_passwd -H ", &["sha512", "sha512-pbkdf2"]),
    ] {
        let mut offered = fish(&folder, line);
        offered.sort();
        assert_eq!(offered, wanted, "{line}");
    }
}

/// zsh completes only for somebody who types.
#[test]
fn zsh_completes_what_is_typed() {
    let folder = prepare("complete_zsh", "zsh", "_noctule");
    let (_, script, _) = outcome(&mut noctule(&folder, &["completions", "zsh"]));
    for (tool, flags) in tools() {
        for flag in flags {
            let begins = ["[", "+[", "=["].map(|end| format!("{flag}{end}"));
            assert!(begins.iter().any(|begin| script.contains(begin)), "{tool} {flag}");
        }
    }
    let start = "PS1='ready> '\nfpath=($ZDOTDIR $fpath)\nautoload -U compinit\ncompinit -u -D\n";
    write(&folder, ".zshrc", start);
    let home = folder.display();
    let line = format!(
        "exec env -i TERM=\"$TERM\" LC_ALL=C.UTF-8 HOME='{home}' ZDOTDIR='{home}' \
         PATH='{home}/bin:/usr/bin:/bin' zsh -i"
    );
    let terminal = Terminal::with(&folder, (100, 30), &line);
    terminal.wait_for_text("ready>");
    // The first command that is completed finds the file, later ones what it has defined.
    for (typed, completed) in [
        ("mosquitto_pub --will-ret", "ready> mosquitto_pub --will-retain"),
        ("noctule sub -V 5 --retain-h", "ready> noctule sub -V 5 --retain-handling="),
        ("noctule sub --retain-handling=al", "ready> noctule sub --retain-handling=always"),
        ("noctule tre", "ready> noctule tree"),
        ("noctule record day.jsonl --filter-o", "ready> noctule record day.jsonl --filter-out="),
        ("noctule config sh", "ready> noctule config show"),
        ("mosquitto_rr --lat", "ready> mosquitto_rr --latency"),
        ("mosquitto_passwd -H sha512-", "ready> mosquitto_passwd -H sha512-pbkdf2"),
    ] {
        terminal.press(&[typed]);
        terminal.wait_for_text(&format!("ready> {typed}"));
        terminal.press(&["Tab"]);
        terminal.wait_for_text(completed);
        terminal.press(&["C-c"]);
        terminal.wait_for("a new line", |screen| {
            screen.iter().rfind(|line| !line.is_empty()).is_some_and(|line| line == "ready>")
        });
        terminal.press(&["C-l"]);
        terminal
            .wait_for("an empty screen", |screen| screen.iter().filter(|line| !line.is_empty()).count() == 1);
    }
}
