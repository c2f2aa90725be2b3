//! Running the binary in a clean environment and a folder of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

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

/// TLS of clients that believe who has this certificate.
pub(crate) fn trusting(certificate: &CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// One of them, which wants to speak with `broker.lan`.
pub(crate) fn tls_client(config: &Arc<ClientConfig>) -> ClientConnection {
    let host = "broker.lan".try_into().expect("a name");
    ClientConnection::new(Arc::clone(config), host).expect("a client")
}

/// Where a ready line says that a broker listens in this way (`tls://`): what follows the scheme, without the path of
/// a WebSocket.
pub(crate) fn place<'r>(ready: &'r str, scheme: &str) -> &'r str {
    let place = ready.split(' ').find_map(|place| place.strip_prefix(scheme));
    place.unwrap_or_else(|| panic!("{scheme} in {ready:?}")).trim_end_matches("/mqtt")
}

/// A broker on free ports that ends with the test.
pub(crate) struct Broker {
    pub(crate) child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Broker {
    pub(crate) fn start(command: &mut Command) -> Self {
        let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdout }
    }

    /// The ready line, without its end.
    pub(crate) fn ready(&mut self) -> String {
        self.line().strip_suffix('\n').expect("a whole line").to_owned()
    }

    /// The next line on standard output; empty if the broker ends before it.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("UTF-8");
        line
    }

    /// Where it listens, from the ready line.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let line = self.ready();
        let (_, address) = line.rsplit_once("tcp://").expect("an address");
        address.parse().expect("an address")
    }

    /// Kills the broker as a crash would; what it said on standard error.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().expect("a running broker");
        let mut stderr = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
        stderr
    }

    /// Stops the broker in order; standard output after the ready line, and standard error.
    pub(crate) fn end(mut self) -> (String, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("a running broker");
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).expect("UTF-8");
        self.child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
        (stdout, stderr)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
