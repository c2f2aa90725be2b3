"""One face for paho-mqtt 1.6 and 2.x: a client whose events a case can wait for."""

import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from suite.case import CaseFailed, check, check_equal

IS_PAHO_2 = hasattr(mqtt, "CallbackAPIVersion")
PROTOCOLS = {"31": mqtt.MQTTv31, "311": mqtt.MQTTv311, "5": mqtt.MQTTv5}
WebsocketWrapper = getattr(mqtt, "_WebsocketWrapper", None) or mqtt.WebsocketWrapper
WAIT_SECONDS = 15.0
QUIET_SECONDS = 0.4
FOR_EVER = 0xFFFF_FFFF


@dataclass(frozen=True)
class Connack:
    """What the broker said to a CONNECT."""

    code: int
    session_present: bool
    properties: Properties | None


@dataclass(frozen=True)
class Will:
    """A will to connect with."""

    topic: str
    payload: str = "gone"
    qos: int = 1
    retain: bool = False
    properties: Properties | None = None


def properties(packet: str, **values) -> Properties:
    """The properties of a packet by their names in paho, such as `UserProperty=[("a", "1")]`."""
    made = Properties(getattr(PacketTypes, packet))
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Peer:
    """A paho client on a thread of its own that never reconnects by itself."""

    def __init__(self, port: int, version: str = "5", client_id: str = "", *, clean: bool = True,
                 expiry: int | None = None, keep_alive: int = 60, will: Will | None = None,
                 manual_ack: bool = False, websocket: str | None = None, tls: bool = False,
                 believes: str | None = "BROKER_CA", **connect_properties):
        self.port = port
        self.websocket = websocket
        self.tls = tls
        # The variable with the file of whom it believes over TLS; without one whom the system believes.
        self.believes = believes
        self.version = version
        self.keep_alive = keep_alive
        self.clean = clean
        self.client_id = client_id
        # Before 5.0 a session that is not clean lives on; 5.0 says how long.
        if version == "5" and (expiry is not None or not clean):
            connect_properties["SessionExpiryInterval"] = FOR_EVER if expiry is None else expiry
        self.connect_properties = connect_properties
        self.connacks: queue.Queue[Connack] = queue.Queue()
        self.acknowledged: queue.Queue = queue.Queue()
        self.disconnects: queue.Queue[int] = queue.Queue()
        # What became of a publication by its packet id; only paho 2 reports a reason code.
        self.published: dict[int, int] = {}
        self.messages: list[mqtt.MQTTMessage] = []
        self.on_message: Callable[[mqtt.MQTTMessage], None] = lambda message: None
        self._changed = threading.Condition()
        self.client = self._create(manual_ack)
        if will:
            self.client.will_set(will.topic, will.payload, will.qos, will.retain,
                                 *([will.properties] if version == "5" else []))

    def _create(self, manual_ack: bool) -> mqtt.Client:
        options = {"client_id": self.client_id, "protocol": PROTOCOLS[self.version], "reconnect_on_failure": False}
        if self.websocket:
            options["transport"] = "websockets"
        if self.version != "5":
            options["clean_session"] = self.clean
        if IS_PAHO_2:
            client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, manual_ack=manual_ack, **options)
        else:
            client = mqtt.Client(**options)
        if self.websocket:
            _keep_what_is_sent_in_parts()
            place = urlsplit(os.environ[f"BROKER_{self.websocket.upper()}"])
            self.port = place.port
            client.ws_set_options(path=place.path)
        if self.tls:
            self.port = urlsplit(os.environ["BROKER_TLS"]).port
        if self.tls or self.websocket == "wss":
            client.tls_set(os.environ[self.believes] if self.believes else None)
        client.max_inflight_messages_set(20)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = client.on_unsubscribe = self._on_acknowledged
        client.on_disconnect = self._on_disconnect
        return client

    def connect(self, expected_code: int = 0) -> Connack:
        """Connects, or connects again with the same session, and returns the CONNACK."""
        arguments = {}
        if self.version == "5":
            arguments = {"clean_start": self.clean, "properties": properties("CONNECT", **self.connect_properties)}
        self.client.loop_stop()
        self.client.connect("127.0.0.1", self.port, self.keep_alive, **arguments)
        self.client.loop_start()
        connack = _take(self.connacks, "CONNACK")
        check_equal(connack.code, expected_code, "reason code of CONNACK")
        return connack

    def subscribe(self, *filters, qos: int = 2, identifier: int | None = None) -> list[int]:
        """Subscribes to filters, or to pairs of filter and options; returns the granted codes."""
        arguments = {}
        if identifier is not None:
            arguments["properties"] = properties("SUBSCRIBE", SubscriptionIdentifier=identifier)
        pairs = [item if isinstance(item, tuple) else (item, self.options(qos)) for item in filters]
        self.client.subscribe(pairs, **arguments)
        return _take(self.acknowledged, "SUBACK")

    def options(self, qos: int):
        """What a filter is asked for with: 5.0 has more options than the QoS."""
        return mqtt.SubscribeOptions(qos=qos) if self.version == "5" else qos

    def unsubscribe(self, *filters) -> list[int]:
        """Unsubscribes; returns the codes, which only 5.0 has."""
        self.client.unsubscribe(list(filters))
        return _take(self.acknowledged, "UNSUBACK")

    def publish(self, topic: str, payload="x", qos: int = 1, retain: bool = False, **values) -> None:
        """Publishes and waits until the broker has acknowledged it."""
        self.wait_published([self.publish_later(topic, payload, qos, retain, **values)])

    def publish_later(self, topic: str, payload="x", qos: int = 1, retain: bool = False, **values):
        """Publishes without waiting; `values` are properties."""
        arguments = {"properties": properties("PUBLISH", **values)} if self.version == "5" else {}
        return self.client.publish(topic, payload, qos, retain, **arguments)

    def wait_published(self, infos: list) -> None:
        """Waits until the broker has acknowledged all of these."""
        wanted = {info.mid for info in infos}
        with self._changed:
            self._changed.wait_for(lambda: wanted <= self.published.keys(), WAIT_SECONDS)
        missing = wanted - self.published.keys()
        check(not missing, f"{len(missing)} messages were not acknowledged within {WAIT_SECONDS:g} s")

    def payloads(self) -> list[str]:
        """What has arrived, as text."""
        return [message.payload.decode() for message in self.messages]

    def wait_count(self, count: int) -> list[mqtt.MQTTMessage]:
        """Waits until `count` messages have arrived."""
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.messages) >= count, WAIT_SECONDS)
        check(done, f"{len(self.messages)} of {count} messages arrived within {WAIT_SECONDS:g} s")
        return self.messages

    def expect(self, *payloads: str) -> list[mqtt.MQTTMessage]:
        """These payloads and no others have arrived, in this order."""
        self.wait_count(len(payloads))
        time.sleep(QUIET_SECONDS)
        check_equal(self.payloads(), list(payloads), "payloads")
        return self.messages

    def cut(self) -> None:
        """Breaks the connection without a DISCONNECT."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.wait_disconnected()

    def disconnect(self, reason_code: int | None = None, **values) -> None:
        """Sends DISCONNECT and ends the connection."""
        arguments = {}
        if self.version == "5":
            reason = mqtt.ReasonCodes(PacketTypes.DISCONNECT, identifier=reason_code or 0)
            arguments = {"reasoncode": reason, "properties": properties("DISCONNECT", **values)}
        self.client.disconnect(**arguments)
        self.wait_disconnected()

    def wait_disconnected(self) -> int:
        """Waits for the end of the connection; returns the reason code as paho reports it."""
        code = _take(self.disconnects, "the end of the connection")
        self.client.loop_stop()
        while not self.disconnects.empty():
            self.disconnects.get()
        return code

    def fall_silent(self) -> None:
        """Stops reading, writing and pinging; the connection stays open."""
        self.client.loop_stop()

    # paho 1.6 and 2.x, and 3.x and 5.0 in 1.6, call these with different arguments.

    def _on_connect(self, _client, _userdata, flags, code, values=None) -> None:
        present = flags["session present"] if isinstance(flags, dict) else flags.session_present
        self.connacks.put(Connack(_number(code), bool(present), values))

    def _on_message(self, _client, _userdata, message) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()
        self.on_message(message)

    def _on_publish(self, _client, _userdata, packet_id, code=0, _values=None) -> None:
        with self._changed:
            self.published[packet_id] = _number(code)
            self._changed.notify_all()

    def _on_acknowledged(self, _client, _userdata, _packet_id, *rest) -> None:
        codes = next((part for part in rest if isinstance(part, (list, tuple, mqtt.ReasonCodes))), [])
        codes = [codes] if isinstance(codes, mqtt.ReasonCodes) else codes
        self.acknowledged.put([_number(code) for code in codes])

    def _on_disconnect(self, _client, _userdata, *rest) -> None:
        # 2.x puts flags before the code.
        self.disconnects.put(_number(rest[1] if IS_PAHO_2 else rest[0]))


def _keep_what_is_sent_in_parts() -> None:
    """Mends paho 1.6 and 2.x: of a packet whose WebSocket frame the kernel takes only a part of, they forget the rest.

    Their wrapper then says that nothing was sent, and the sender drops a packet of which nothing was sent. Any broker
    waits for the end of that frame for ever (eclipse-paho/paho.mqtt.python#887). Saying that it has to be tried again
    keeps the packet.
    """
    send = WebsocketWrapper._send_impl
    if getattr(send, "is_mended", False):
        return

    def send_or_wait(wrapper, data):
        sent = send(wrapper, data)
        if data and not sent:
            raise BlockingIOError
        return sent

    send_or_wait.is_mended = True
    WebsocketWrapper._send_impl = send_or_wait


def _number(code) -> int:
    return getattr(code, "value", code)


def _take(events: queue.Queue, what: str):
    try:
        return events.get(timeout=WAIT_SECONDS)
    except queue.Empty:
        raise CaseFailed(f"{what} did not come within {WAIT_SECONDS:g} s") from None
