"""The stage of one case: a broker of its own, a folder, and the programs the case starts."""

import re
import time
from collections.abc import Callable
from pathlib import Path

from .broker import Broker
from .case import CaseFailed, check_equal
from .peers import Peers
from .program import WAIT_SECONDS, Program
from .wire import Wire

# How long a case listens for something that must not come.
QUIET_SECONDS = 0.4

MOSQUITTO_LOG = re.compile(r"^(Client \S+ (sending|received) |Subscribed \(mid: |Unsubscribed|Unsubscribing)")


class Scene:
    """Given to every case; what was started through it is ended with it."""

    def __init__(self, broker: Broker, peers: Peers, folder: Path):
        self.broker = broker
        self.peers = peers
        self.folder = folder
        self.programs: list[Program] = []
        self.wires: list[Wire] = []

    @property
    def port(self) -> int:
        return self.broker.port

    def start(self, *command, program: Callable[..., Program] = Program, **options) -> Program:
        """Starts a program that ends at the latest with the case."""
        started = program(command, **options)
        self.programs.append(started)
        return started

    def run(self, *command, seconds: float = WAIT_SECONDS, **options) -> Program:
        """Runs a program to its end, whatever its exit code."""
        program = self.start(*command, **options)
        program.finish(seconds)
        return program

    def pub(self, *arguments, version: str = "5", code: int = 0, stdin: bytes | None = None) -> Program:
        """Runs mosquitto_pub and expects the given exit code."""
        done = self.run(self.peers.tool("mosquitto_pub"), "-p", self.port, "-V", version, *arguments, stdin=stdin)
        check_equal(done.code, code, f"exit code of mosquitto_pub {' '.join(done.err)}")
        return done

    def sub(self, *arguments, version: str = "5", port: int | None = None) -> "Subscriber":
        """Starts mosquitto_sub and returns when its subscriptions are acknowledged."""
        # Its debug output would wait in a buffer for as long as that is not full.
        subscriber = self.start("stdbuf", "-oL", self.peers.tool("mosquitto_sub"), "-d", "-p", port or self.port,
                                "-V", version, *arguments, program=Subscriber)
        subscriber.wait_line(" received SUBACK")
        return subscriber

    def wire(self) -> Wire:
        """A listener in front of the broker that sees every packet."""
        wire = Wire(self.port)
        self.wires.append(wire)
        return wire

    def close(self) -> None:
        """Ends every program of the case."""
        for program in self.programs:
            program.kill()
        for wire in self.wires:
            wire.close()

    def transcript(self) -> list[str]:
        """All commands and their output, for the log of a failed case."""
        programs = [*self.programs, self.broker.program]
        return [line for program in programs for line in program.transcript()]


class Subscriber(Program):
    """mosquitto_sub with its debug output; `messages` holds what it printed about messages."""

    name = "mosquitto_sub"

    @property
    def messages(self) -> list[str]:
        return [line for line in self.out if not MOSQUITTO_LOG.match(line)]

    def expect(self, *lines: str) -> None:
        """These messages and no others have arrived, in this order."""
        self.wait_count(len(lines))
        self.stays_quiet()
        check_equal(self.messages, list(lines), "messages")

    def wait_count(self, count: int) -> list[str]:
        """Waits until `count` messages have arrived and returns all there are."""
        try:
            self.wait_until(lambda: len(self.messages) >= count, f"message number {count}")
        except CaseFailed as failure:
            raise CaseFailed(f"{failure}; arrived: {self.messages[:5]}") from None
        return self.messages

    def stays_quiet(self, seconds: float = QUIET_SECONDS) -> None:
        """No further message arrives for a moment."""
        before = len(self.messages)
        time.sleep(seconds)
        check_equal(self.messages[before:], [], "messages nobody asked for")

    def stop(self) -> None:
        """Ends with a DISCONNECT, as mosquitto_sub does on SIGTERM (in 5.0 with code 0x04)."""
        # It sends from within its signal handler, which hangs if it was just sending something else.
        time.sleep(0.1)
        self.terminate()
        self.finish()
