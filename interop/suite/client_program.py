"""Makes a program of a module that holds cases for a library of another Python environment.

`PROGRAM --list` prints the names of its cases; `PROGRAM NAME PORT` runs one against the broker on
127.0.0.1:PORT and ends with 0, or writes why it failed as the last line on standard error.
"""

import os
import sys

from .case import CASES, CaseFailed


def main() -> None:
    if sys.argv[1:] == ["--list"]:
        print("\n".join(CASES))
        return
    name, port = sys.argv[1:]
    try:
        CASES[name].body(int(port))
    except CaseFailed as failure:
        print(failure, file=sys.stderr, flush=True)
        _leave(1)
    _leave(0)


def _leave(code: int) -> None:
    # Threads of a client library that still waits for an answer must not keep the program.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
