#!/usr/bin/env python3
"""Runs real MQTT clients against a real broker: see README.md.

Prints `ok NAME` or `FAIL NAME: why` per case and closes with `N passed, N failed`.
"""

import argparse
import fnmatch
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

from cases import load_cases  # noqa: E402
from suite.broker import Broker, start_mosquitto, start_noctule  # noqa: E402
from suite.case import CASES, Case, CaseFailed  # noqa: E402
from suite.certificate import Certificate, make_certificate  # noqa: E402
from suite.peers import Peers  # noqa: E402
from suite.scene import Scene  # noqa: E402

# Cases mostly wait for each other's timers, so more of them than cores run at a time.
WORKERS = 6
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parent / "target")
DIFFERENCES = HERE / "mosquitto-differs.txt"


def main() -> int:
    options = parse_options()
    peers = Peers(options.peers.resolve())
    try:
        versions = peers.versions()
        load_cases(peers)
    except CaseFailed as missing:
        print(f"FAIL peers: {missing}")
        return 1
    chosen = [case for case in CASES.values() if not options.only or matches(case.name, options.only)]
    if options.list:
        print("\n".join(case.name for case in chosen))
        return 0
    if not chosen:
        print(f"FAIL --only: no case matches {options.only}")
        return 1
    print("peers:", ", ".join(versions), flush=True)
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        return Run(options, peers, make_certificate(Path(folder))).all(chosen)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broker", default=str(TARGET / "debug" / "noctule"), metavar="PATH|mosquitto",
                        help="the binary of noctule, or the word mosquitto (default: %(default)s)")
    parser.add_argument("--peers", type=Path, default=TARGET / "peers", metavar="DIR",
                        help="where the client libraries are installed (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="PATTERN",
                        help="cases whose name contains PATTERN or matches it as a shell pattern; repeatable")
    parser.add_argument("--list", action="store_true", help="print the names of the cases and end")
    parser.add_argument("--workers", type=int, default=WORKERS, help="cases at a time (default: %(default)s)")
    parser.add_argument("--shards", type=int, default=0, metavar="N",
                        help="threads of noctule; 0 for as many as there are cores (default: %(default)s)")
    return parser.parse_args()


def matches(name: str, patterns: list[str]) -> bool:
    return any(pattern in name or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


class Run:
    """One run over the chosen cases: counts, prints, keeps the logs of what failed."""

    def __init__(self, options: argparse.Namespace, peers: Peers, certificate: Certificate):
        self.options = options
        self.peers = peers
        self.certificate = certificate
        self.against_mosquitto = options.broker == "mosquitto"
        self.differences = read_differences() if self.against_mosquitto else {}
        self.logs = TARGET / "interop-logs"
        self.passed = self.failed = self.differing = 0
        self.slowest = (0.0, "")
        self._output = threading.Lock()

    def all(self, chosen: list[Case]) -> int:
        shutil.rmtree(self.logs, ignore_errors=True)
        started = time.monotonic()
        with ThreadPoolExecutor(self.options.workers) as pool:
            list(pool.map(self.one, chosen))
        seconds = time.monotonic() - started
        listed = f", {self.differing} differ as listed" if self.against_mosquitto else ""
        print(f"took {seconds:.0f} s, slowest {self.slowest[1]} with {self.slowest[0]:.1f} s")
        print(f"{self.passed} passed, {self.failed} failed{listed}")
        return 1 if self.failed else 0

    def one(self, case: Case) -> None:
        started = time.monotonic()
        why = self.run_case(case)
        with self._output:
            self.slowest = max(self.slowest, (time.monotonic() - started, case.name))
            self.report(case.name, why)

    def run_case(self, case: Case) -> str | None:
        """Runs one case with a broker of its own; returns why it failed, or None."""
        folder = Path(tempfile.mkdtemp(prefix="interop-"))
        try:
            return self.play(case, Scene(self.start_broker(folder), self.peers, folder))
        except CaseFailed as failure:
            return str(failure)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def play(self, case: Case, scene: Scene) -> str | None:
        why = None
        try:
            case.body(scene)
        except CaseFailed as failure:
            why = str(failure)
        except Exception:  # A mistake in a case must not hide the results of the others.
            why = " / ".join(traceback.format_exc().strip().splitlines()[-3:])
        finally:
            scene.close()
        try:
            scene.broker.stop()
        except CaseFailed as failure:
            why = f"{why}; then {failure}" if why else str(failure)
            scene.broker.program.kill()
        if why:
            self.keep_log(case.name, why, scene)
        return why

    def start_broker(self, folder: Path) -> Broker:
        if self.against_mosquitto:
            return start_mosquitto(folder, self.certificate)
        shards = ["--shards", str(self.options.shards)]
        return start_noctule(Path(self.options.broker).resolve(), folder, self.certificate, shards)

    def report(self, name: str, why: str | None) -> None:
        reason = self.differences.get(name)
        if why and reason:
            self.differing += 1
            print(f"differs {name}: {reason}", flush=True)
        elif why:
            self.failed += 1
            print(f"FAIL {name}: {why}", flush=True)
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)

    def keep_log(self, name: str, why: str, scene: Scene) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name.replace('/', '-')}.log"
        log.write_text("\n".join([f"{name}: {why}", *scene.transcript()]) + "\n")


def read_differences() -> dict[str, str]:
    """Cases that mosquitto 2.0.11 is known to fail, with the reason: `NAME: reason` per line."""
    lines = (line for line in DIFFERENCES.read_text().splitlines() if line and not line.startswith("#"))
    return {name: reason for name, reason in (line.split(": ", 1) for line in lines)}


if __name__ == "__main__":
    sys.exit(main())
