"""Where the client programs and libraries are, and that they are the ones meant.

`cargo xtask setup` installs them; README.md says where.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .case import CaseFailed, check

ANSWER_SECONDS = 60.0

# Programs of Debian's packages and of the system.
TOOLS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr", "paho_c_pub", "paho_c_sub", "node", "stdbuf",
         "openssl", "chromium")
# Virtual environment, package, and how its version begins.
PYTHON_PACKAGES = (("paho1", "paho-mqtt", "1.6.1"), ("paho2", "paho-mqtt", "2."), ("paho2", "gmqtt", "0."),
                   ("paho2", "aiomqtt", "2."), ("paho2", "awscrt", "0."))
NODE_PACKAGES = (("mqtt", "5."), ("node-red", "4."))


@dataclass(frozen=True)
class Peers:
    """The folder with the virtual environments `paho1` and `paho2` and the Node packages `node`."""

    folder: Path

    def python(self, environment: str) -> Path:
        """The interpreter of one of the virtual environments."""
        return self.folder / environment / "bin" / "python"

    @property
    def node_modules(self) -> Path:
        return self.folder / "node" / "node_modules"

    def tool(self, name: str) -> str:
        """A program of Debian's packages."""
        path = shutil.which(name)
        check(path, f"{name} is not installed")
        return path

    def versions(self) -> list[str]:
        """Name and version of every peer; fails when one is missing or another than the suite is for."""
        for name in TOOLS:
            self.tool(name)
        found = [("mosquitto_pub", _output(self.tool("mosquitto_pub"), "--version").split()[2], "")]
        found += [(package, self._python_version(environment, package), begins)
                  for environment, package, begins in PYTHON_PACKAGES]
        found += [(package, self._node_version(package), begins) for package, begins in NODE_PACKAGES]
        for package, version, begins in found:
            check(version.startswith(begins), f"{package} is {version}, and the suite is for {begins}")
        return [f"{package} {version}" for package, version, _ in found]

    def _python_version(self, environment: str, package: str) -> str:
        program = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
        return _output(self.python(environment), "-c", program, package).strip()

    def _node_version(self, package: str) -> str:
        manifest = self.node_modules / package / "package.json"
        check(manifest.is_file(), f"{manifest} is missing; `cargo xtask setup` installs it")
        return json.loads(manifest.read_text())["version"]


def _output(*command) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False).stdout
    except FileNotFoundError:
        raise CaseFailed(f"{command[0]} is missing; `cargo xtask setup` installs it") from None
