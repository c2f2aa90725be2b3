//! Running the binary in a clean environment and a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A fresh folder for one test.
pub(crate) fn folder(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if path.exists() {
        fs::remove_dir_all(&path).expect("a folder of this test");
    }
    fs::create_dir_all(&path).expect("a writable folder for tests");
    path
}

/// `noctule` with `arguments` in `folder`, with no environment but what the caller adds.
pub(crate) fn noctule(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
    command.current_dir(folder).env_clear().args(arguments);
    command
}

/// Exit code, standard output and standard error of a command that ends by itself.
pub(crate) fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}
