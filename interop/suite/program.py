"""Child processes whose output a case can wait for, always with a time limit."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .case import CaseFailed

WAIT_SECONDS = 15.0


class Program:
    """A running child process; its two outputs are collected line by line."""

    def __init__(self, command: Sequence[str], *, stdin: bytes | None = None, cwd: Path | None = None,
                 env: dict[str, str] | None = None):
        self.command = [str(word) for word in command]
        self.code: int | None = None
        self.out: list[str] = []
        self.err: list[str] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, env=env)
        self._threads = [self._spawn(self._collect, self._process.stdout, self.out),
                         self._spawn(self._collect, self._process.stderr, self.err)]
        if stdin is not None:
            self._threads.append(self._spawn(self._feed, stdin))

    def _spawn(self, work: Callable, *arguments) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread

    def _collect(self, stream, lines: list[str]) -> None:
        for line in stream:
            with self._changed:
                lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _feed(self, data: bytes) -> None:
        try:
            self._process.stdin.write(data)
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # The program ended first; its exit code tells the case why.

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = WAIT_SECONDS):
        """Waits until `condition()` is true and returns its value; looks again after every line."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (value := condition()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise CaseFailed(f"{self.name}: {what} not seen within {seconds:g} s")
                self._changed.wait(min(left, 0.2))
        return value

    def wait_line(self, text: str, seconds: float = WAIT_SECONDS) -> str:
        """Waits for a line of either output that contains `text` and returns it."""
        return self.wait_until(
            lambda: next((line for line in self.out + self.err if text in line), None), repr(text), seconds)

    def finish(self, seconds: float = WAIT_SECONDS) -> int:
        """Waits for the end of the program and of its output; returns the exit code."""
        try:
            self.code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise CaseFailed(f"{self.name} did not end within {seconds:g} s") from None
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
        return self.code

    def terminate(self) -> None:
        """Asks the program to end (SIGTERM)."""
        if self.is_running():
            self._process.terminate()

    def kill(self) -> None:
        """Ends the program without a farewell (SIGKILL) and reaps it."""
        if self.is_running():
            self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stops the program where it is; its connection stays open and silent."""
        os.kill(self.pid, signal.SIGSTOP)

    @property
    def name(self) -> str:
        return Path(self.command[0]).name

    def transcript(self) -> list[str]:
        """Command and output, for the log of a failed case."""
        return [f"$ {' '.join(self.command)[:400]}", *(f"  {line[:400]}" for line in self.out[-60:]),
                *(f"  err: {line[:400]}" for line in self.err[-60:])]
