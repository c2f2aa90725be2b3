//! The real mosquitto, to be compared with.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A mosquitto that ends with the test.
pub(super) struct Mosquitto {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Mosquitto {
    /// Starts it with these lines in its configuration, in this folder.
    pub(super) fn start(folder: &Path, lines: &str) -> Self {
        let address = free_address();
        let file = folder.join("mosquitto.conf");
        let port = address.port();
        // Without a user of its own it would give up the right to read the files of the test.
        let text = format!("listener {port} 127.0.0.1\nuser root\npersistence false\n{lines}");
        fs::write(&file, text).expect("a writable folder for tests");
        let mut command = program("mosquitto");
        command.current_dir(folder).arg("-c").arg(&file);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mosquitto =
            Self { child: child.expect("mosquitto has to be installed (Debian package mosquitto)"), address };
        mosquitto.wait_until_it_listens();
        mosquitto
    }

    fn wait_until_it_listens(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            thread::yield_now();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of mosquitto, which Debian may keep where only root looks.
pub(super) fn program(name: &str) -> Command {
    let in_sbin = Path::new("/usr/sbin").join(name);
    if in_sbin.exists() { Command::new(in_sbin) } else { Command::new(name) }
}

/// A port that nobody listens on, below those that the system gives to clients.
fn free_address() -> SocketAddr {
    let first = 20_000 + u16::try_from(std::process::id() % 8_000).expect("below 8,000");
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let free = (first..32_000).map(address).find(|address| TcpListener::bind(address).is_ok());
    free.expect("a free port below 32,000")
}
