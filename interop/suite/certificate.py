"""The certificate of the brokers under test, made once a run."""

import base64
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .case import check


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for localhost and 127.0.0.1, and its key."""

    path: Path
    key: Path

    @property
    def pin(self) -> str:
        """The hash of its public key, by which a browser can be told to believe in it."""
        public = _openssl("x509", "-in", self.path, "-noout", "-pubkey")
        public = _openssl("pkey", "-pubin", "-outform", "der", stdin=public)
        return base64.b64encode(hashlib.sha256(public).digest()).decode()


def make_certificate(folder: Path) -> Certificate:
    """Makes one with openssl."""
    made = Certificate(folder / "server.pem", folder / "server.key")
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", made.key, "-out", made.path)
    return made


def _openssl(*arguments, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True, check=False)
    check(done.returncode == 0, f"openssl {arguments[0]}: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return done.stdout
