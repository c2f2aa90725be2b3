"""All cases; importing a module registers what it holds."""

from suite.scene import Peers


def load_cases(peers: Peers) -> None:
    """Registers every case, in the order in which they start; fails when a peer is missing."""
    from . import mosquitto_basic, mosquitto_sessions, mosquitto_v5  # noqa: F401
    from .programs import register_programs

    register_programs(peers)
