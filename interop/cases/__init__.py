"""All cases; importing a module registers what it holds."""

from suite.peers import Peers


def load_cases(peers: Peers) -> None:
    """Registers every case, in the order in which they start; fails when a peer is missing."""
    from . import browser, mosquitto_basic, mosquitto_sessions, mosquitto_v5, node_red, paho_c  # noqa: F401
    from .programs import register_programs

    register_programs(peers)
