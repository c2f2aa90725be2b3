"""A listener between a client and the broker that reads every packet and may hold back or cut.

Clients hide what the wire says (a DUP flag, an alias, a reason code) and never misbehave on
purpose; through a `Wire` a case sees the packets themselves and decides where a connection breaks.
"""

import contextlib
import enum
import itertools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .case import CaseFailed
from .program import WAIT_SECONDS


class Kind(enum.IntEnum):
    """Packet types in the first four bits of a packet."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class Verdict(enum.Enum):
    """What happens to a packet on its way."""

    PASS = "pass"
    HOLD_BACK = "hold back"
    CUT = "cut"


@dataclass(frozen=True)
class Packet:
    """One packet as it was on the wire; `link` counts the connections from 0."""

    link: int
    from_broker: bool
    first_byte: int
    body: bytes

    @property
    def kind(self) -> Kind:
        return Kind(self.first_byte >> 4)

    @property
    def dup(self) -> bool:
        return bool(self.first_byte & 0b1000)

    @property
    def qos(self) -> int:
        return self.first_byte >> 1 & 0b11

    @property
    def topic_bytes(self) -> bytes:
        """The topic of a PUBLISH."""
        return self.body[2:2 + int.from_bytes(self.body[:2], "big")]

    @property
    def packet_id(self) -> int:
        """The packet id of a PUBLISH with QoS above 0, or of an acknowledgement."""
        start = 2 + len(self.topic_bytes) if self.kind is Kind.PUBLISH else 0
        return int.from_bytes(self.body[start:start + 2], "big")


def pass_all(_: Packet) -> Verdict:
    return Verdict.PASS


class Wire:
    """Listens on `port`, passes to the broker's port, remembers all packets in `seen`."""

    def __init__(self, broker_port: int, rule: Callable[[Packet], Verdict] = pass_all):
        self.rule = rule
        self.seen: list[Packet] = []
        self._changed = threading.Condition()
        self._broker_port = broker_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self, **wanted) -> int:
        """How many packets with these attributes have been seen."""
        return len(self.find(**wanted))

    def find(self, **wanted) -> list[Packet]:
        """The packets seen so far whose attributes have the wanted values."""
        return [packet for packet in list(self.seen)
                if all(getattr(packet, name) == value for name, value in wanted.items())]

    def wait(self, **wanted) -> Packet:
        """Waits for a packet with these attributes and returns the first."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._changed:
            while not (found := self.find(**wanted)):
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise CaseFailed(f"no packet on the wire with {wanted}")
        return found[0]

    def close(self) -> None:
        """Takes no further connections; those that are open end with their clients."""
        _shut(self._listener, socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        for link in itertools.count():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # Closed.
            try:
                broker = socket.create_connection(("127.0.0.1", self._broker_port))
            except OSError:
                client.close()  # Refused as the broker would refuse.
            else:
                self._join(link, client, broker)

    def _join(self, link: int, client: socket.socket, broker: socket.socket) -> None:
        for source, sink, from_broker in ((client, broker, False), (broker, client, True)):
            sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._carry, args=(link, from_broker, source, sink), daemon=True).start()

    def _carry(self, link: int, from_broker: bool, source: socket.socket, sink: socket.socket) -> None:
        goes_on = True
        try:
            with source.makefile("rb") as stream:
                while goes_on and (packet := _read_packet(link, from_broker, stream)):
                    goes_on = self._decide(packet, sink)
        except OSError:
            goes_on = False
        # Who has said all it has to say may still listen; a cut ends both directions.
        _shut(sink, socket.SHUT_WR if goes_on else socket.SHUT_RDWR)
        if not goes_on:
            _shut(source, socket.SHUT_RDWR)

    def _decide(self, packet: tuple[Packet, bytes], sink: socket.socket) -> bool:
        verdict = self.rule(packet[0])
        # Noted before it is passed on, so that nobody sees the consequence before the cause.
        with self._changed:
            self.seen.append(packet[0])
            self._changed.notify_all()
        if verdict is Verdict.PASS:
            sink.sendall(packet[1])
        return verdict is not Verdict.CUT


def _read_packet(link: int, from_broker: bool, stream) -> tuple[Packet, bytes] | None:
    first = stream.read(1)
    length_bytes = b""
    while first and (not length_bytes or length_bytes[-1] & 0x80):
        byte = stream.read(1)
        if not byte:
            return None
        length_bytes += byte
    if not first:
        return None
    body = stream.read(sum((byte & 0x7F) << 7 * place for place, byte in enumerate(length_bytes)))
    return Packet(link, from_broker, first[0], body), first + length_bytes + body


def _shut(end: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):  # The other end may be faster.
        end.shutdown(how)
