"""Cases in programs of their own, because their libraries live in another environment.

Such a program prints the names of its cases with `--list` and runs one with `NAME PORT`. The environment has where the
broker listens for WebSockets and TLS (`BROKER_WS`, `BROKER_WSS`, `BROKER_TLS`) and the certificate it shows (`BROKER_CA`).
"""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from suite.case import Case, check, register
from suite.peers import Peers
from suite.scene import Scene

INTEROP = Path(__file__).resolve().parent.parent
CASE_SECONDS = 60.0
LIST_SECONDS = 60.0

# Name of the family, environment of its interpreter, program.
PYTHON_PROGRAMS = (
    ("paho1", "paho1", "paho_cases.py"),
    ("paho2", "paho2", "paho_cases.py"),
    ("gmqtt", "paho2", "gmqtt_cases.py"),
    ("aiomqtt", "paho2", "aiomqtt_cases.py"),
    ("aws", "paho2", "aws_cases.py"),
)


def register_programs(peers: Peers) -> None:
    """Asks every program for its cases."""
    commands = {family: [str(peers.python(environment)), str(INTEROP / "clients" / program)]
                for family, environment, program in PYTHON_PROGRAMS}
    commands["mqttjs"] = [peers.tool("node"), str(INTEROP / "js" / "cases.js")]
    environment = {**os.environ, "PYTHONPATH": str(INTEROP), "PYTHONDONTWRITEBYTECODE": "1",
                   "NODE_PATH": str(peers.node_modules)}
    with ThreadPoolExecutor() as pool:
        lists = pool.map(lambda command: _list(command, environment), commands.values())
    for (family, command), names in zip(commands.items(), lists, strict=True):
        for name in names:
            register(Case(f"{family}/{name}", _run_with(command, name, environment)))


def _list(command: list[str], environment: dict[str, str]) -> list[str]:
    done = subprocess.run([*command, "--list"], env=environment, capture_output=True, text=True,
                          timeout=LIST_SECONDS, check=False)
    check(done.returncode == 0, f"{' '.join(command)} --list: {done.stderr.strip()[-400:]}")
    return done.stdout.split()


def _run_with(command: list[str], name: str, environment: dict[str, str]):
    def body(scene: Scene) -> None:
        places = {f"BROKER_{scheme.upper()}": scene.broker.websocket(scheme) for scheme in ("ws", "wss")}
        places["BROKER_TLS"] = scene.broker.tls()
        places["BROKER_CA"] = str(scene.broker.certificate.path)
        done = scene.run(*command, name, scene.port, env={**environment, **places}, cwd=scene.folder,
                         seconds=CASE_SECONDS)
        check(done.code == 0, done.err[-1] if done.err else f"ended with {done.code} and said nothing")

    return body
