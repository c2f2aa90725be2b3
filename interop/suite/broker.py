"""The broker under test: noctule, or mosquitto 2.0.11 to prove the suite itself."""

import os
import random
import re
import shutil
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from .case import CaseFailed, check, check_equal
from .certificate import Certificate
from .program import Program

READY_LINE = re.compile(r"^noctule \S+ ready: mqtt tcp://127\.0\.0\.1:(\d+) "
                        r"ws://127\.0\.0\.1:(\d+)/mqtt wss://127\.0\.0\.1:(\d+)/mqtt tls://127\.0\.0\.1:(\d+)$")
START_SECONDS = 20.0
STOP_SECONDS = 10.0

# With bounded queues mosquitto 2.0 drops messages that the cases expect to be queued, and as root it becomes a user who
# cannot read the key.
MOSQUITTO_SETTINGS = """\
listener {port} 127.0.0.1
listener {ws} 127.0.0.1
protocol websockets
listener {wss} 127.0.0.1
protocol websockets
certfile {certificate}
keyfile {key}
listener {tls} 127.0.0.1
certfile {certificate}
keyfile {key}
allow_anonymous true
user root
max_queued_messages 0
sys_interval 1
"""


class Broker:
    """A started broker on ports of its own; `stop` checks that it ends well."""

    def __init__(self, program: Program, ports: tuple[int, ...], certificate: Certificate):
        self.program = program
        self.port, self.ws_port, self.wss_port, self.tls_port = ports
        self.certificate = certificate
        self._is_stopped = False

    def websocket(self, scheme: str) -> str:
        """Where it listens with `ws` or `wss`."""
        return f"{scheme}://127.0.0.1:{self.wss_port if scheme == 'wss' else self.ws_port}/mqtt"

    def tls(self) -> str:
        """Where it listens with TLS."""
        return f"tls://127.0.0.1:{self.tls_port}"

    def stop(self) -> None:
        """SIGTERM must end the broker with exit code 0, and nothing may have panicked; a second call does nothing."""
        if self._is_stopped:
            return
        self._is_stopped = True
        check(self.program.is_running(), f"the broker ended by itself: {self._last_words()}")
        self.program.terminate()
        check_equal(self.program.finish(STOP_SECONDS), 0, "exit code of the broker after SIGTERM")
        panics = [line for line in self.program.err if "panicked" in line]
        check(not panics, f"the broker panicked: {panics[:1]}")

    def _last_words(self) -> str:
        return " / ".join(self.program.err[-3:]) or "it said nothing"


def start_noctule(path: Path, folder: Path, certificate: Certificate, extra: Iterable[str] = ()) -> Broker:
    """Starts the binary on ports the system chooses and reads them from its ready line."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("NOCTULE_")}
    listeners = [word for scheme in ("tcp", "ws", "wss", "tls") for word in ("--listen", f"{scheme}://127.0.0.1:0")]
    tls = ["--set", f"tls.certificate={certificate.path}", "--set", f"tls.key={certificate.key}"]
    program = Program([path, *listeners, *tls, "--data-dir", folder / "data", "--durability", "memory", *extra],
                      cwd=folder, env=clean)
    try:
        program.wait_until(lambda: program.out or not program.is_running(), "the ready line", START_SECONDS)
    except CaseFailed:
        program.kill()
        raise
    first = program.out[0] if program.out else ""
    ready = READY_LINE.match(first)
    if not ready:
        program.kill()
        raise CaseFailed(f"not a ready line: {first!r} {' / '.join(program.err[-3:])}")
    return Broker(program, tuple(map(int, ready.groups())), certificate)


def start_mosquitto(folder: Path, certificate: Certificate) -> Broker:
    """Starts Debian's mosquitto on free ports; another process may take one first, so it tries again."""
    path = find_mosquitto()
    for _ in range(5):
        ports = tuple(free_port() for _ in range(4))
        settings = folder / "mosquitto.conf"
        settings.write_text(MOSQUITTO_SETTINGS.format(
            port=ports[0], ws=ports[1], wss=ports[2], tls=ports[3],
            certificate=certificate.path, key=certificate.key))
        program = Program([path, "-c", settings], cwd=folder)
        if all(_answers(program, port) for port in ports):
            return Broker(program, ports, certificate)
        program.kill()
    raise CaseFailed("mosquitto did not start on any of five ports")


def find_mosquitto() -> str:
    """Debian keeps the broker in /usr/sbin, which is not on every user's path."""
    path = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    check(path, "mosquitto is not installed")
    return path


def free_port() -> int:
    """A port below the range that the system gives to outgoing connections."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def _answers(program: Program, port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while program.is_running() and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False
