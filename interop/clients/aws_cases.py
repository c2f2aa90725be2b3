"""Cases for awscrt, the client under the AWS IoT SDKs for Python, Java, C++ and JavaScript: a C codec of its own.

It has no QoS 2. In 5.0 it sends and resolves topic aliases and reconnects by itself.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from urllib.parse import urlsplit

from awscrt import io, mqtt, mqtt5

from suite.case import CaseFailed, case, check, check_equal
from suite.client_program import main

WAIT_SECONDS = 15.0
QUIET_SECONDS = 0.4
QOS = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE)
REJOIN = mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS
ALIASES = mqtt5.TopicAliasingOptions(
    outbound_behavior=mqtt5.OutboundTopicAliasBehaviorType.LRU, outbound_cache_max_size=10,
    inbound_behavior=mqtt5.InboundTopicAliasBehaviorType.ENABLED, inbound_cache_max_size=10)


class Peer:
    """A client of 5.0 that has connected."""

    def __init__(self, port: int, client_id: str, *, tls: bool = False, expiry: int = 0, **options):
        self.messages: list[mqtt5.PublishPacket] = []
        self.connacks: list[mqtt5.ConnackPacket] = []
        self.goodbyes: list[mqtt5.DisconnectPacket | None] = []
        self._is_stopped = False
        self._changed = threading.Condition()
        connect = mqtt5.ConnectPacket(client_id=client_id, keep_alive_interval_sec=60,
                                      session_expiry_interval_sec=expiry)
        if tls:
            port = urlsplit(os.environ["BROKER_TLS"]).port
            options["tls_ctx"] = _tls()
        self.client = mqtt5.Client(mqtt5.ClientOptions(
            host_name="127.0.0.1", port=port, connect_options=connect,
            on_publish_callback_fn=lambda came: self._note(self.messages, came.publish_packet),
            on_lifecycle_event_connection_success_fn=lambda came: self._note(self.connacks, came.connack_packet),
            on_lifecycle_event_disconnection_fn=lambda came: self._note(self.goodbyes, came.disconnect_packet),
            on_lifecycle_event_stopped_fn=self._stopped, **options))
        self.client.start()
        self._wait(lambda: self.connacks, "CONNACK")

    def subscribe(self, topic_filter: str, qos: int = 1) -> list[int]:
        """Subscribes; returns the granted codes."""
        asked = mqtt5.SubscribePacket([mqtt5.Subscription(topic_filter, QOS[qos])])
        return [int(code) for code in result(self.client.subscribe(asked), "SUBACK").reason_codes]

    def publish_later(self, topic: str, payload: str | bytes = "x", qos: int = 1, **values) -> Future:
        """Publishes; the future waits for the acknowledgement."""
        return self.client.publish(mqtt5.PublishPacket(topic=topic, payload=payload, qos=QOS[qos], **values))

    def publish(self, topic: str, payload: str | bytes = "x", qos: int = 1, **values) -> None:
        """Publishes and waits until the broker has acknowledged it."""
        result(self.publish_later(topic, payload, qos, **values), "PUBACK")

    def wait_count(self, count: int) -> list[mqtt5.PublishPacket]:
        """Waits until `count` messages have arrived."""
        self._wait(lambda: len(self.messages) >= count, f"message number {count}")
        return self.messages

    def expect(self, *payloads: str) -> list[mqtt5.PublishPacket]:
        """These payloads and no others have arrived, in this order."""
        self.wait_count(len(payloads))
        time.sleep(QUIET_SECONDS)
        check_equal([message.payload.decode() for message in self.messages], list(payloads), "payloads")
        return self.messages

    def wait_goodbye(self) -> mqtt5.DisconnectPacket | None:
        """Waits for the end of the connection; returns the DISCONNECT of the broker."""
        self._wait(lambda: self.goodbyes, "the end of the connection")
        return self.goodbyes[0]

    def stop(self) -> None:
        """Sends DISCONNECT and ends the connection."""
        self.client.stop(mqtt5.DisconnectPacket())
        self._wait(lambda: self._is_stopped, "the end of the client")

    def _stopped(self, _came) -> None:
        self._is_stopped = True
        self._note([], None)

    def _note(self, events: list, event) -> None:
        with self._changed:
            events.append(event)
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        with self._changed:
            check(self._changed.wait_for(condition, WAIT_SECONDS), f"{what} did not come within {WAIT_SECONDS:g} s")


def result(future: Future, what: str):
    """What an awaited answer says."""
    try:
        return future.result(WAIT_SECONDS)
    except TimeoutError:
        raise CaseFailed(f"{what} did not come within {WAIT_SECONDS:g} s") from None


def _tls() -> io.ClientTlsContext:
    options = io.TlsContextOptions()
    options.override_default_trust_store_from_path(None, os.environ["BROKER_CA"])
    return io.ClientTlsContext(options)


@case("v5/round_trip")
def round_trip(port: int):
    """Messages and their properties arrive as they were sent, also over TLS."""
    for tls in (False, True):
        peer = Peer(port, "both", tls=tls)
        check_equal(peer.subscribe("a/#"), [1], "codes of SUBACK")
        pair = mqtt5.UserProperty("a", "1")
        for qos in (0, 1):
            peer.publish("a/b", f"qos {qos}", qos, user_properties=[pair, pair], content_type="json",
                         response_topic="r", correlation_data="c", message_expiry_interval_sec=100)
        for message in peer.expect("qos 0", "qos 1"):
            check_equal([(found.name, found.value) for found in message.user_properties], [("a", "1")] * 2, "pairs")
            check_equal((message.content_type, message.response_topic, message.correlation_data),
                        ("json", "r", "c"), "other properties")
        peer.stop()


@case("v5/five_megabytes")
def five_megabytes(port: int):
    """A publication of 5 MB arrives whole."""
    peer = Peer(port, "both")
    peer.subscribe("large")
    payload = os.urandom(5_000_000)
    peer.publish("large", payload)
    check(peer.wait_count(1)[0].payload == payload, "another payload arrived")


@case("v5/burst")
def burst(port: int):
    """5,000 publications at once arrive in order."""
    peer = Peer(port, "both")
    peer.subscribe("load")
    payloads = [str(number) for number in range(5000)]
    for future in [peer.publish_later("load", payload) for payload in payloads]:
        result(future, "PUBACK")
    peer.expect(*payloads)


@case("v5/topic_aliases")
def topic_aliases(port: int):
    """Aliases in both directions, each with more topics than there are aliases, stand for the right topics."""
    peer = Peer(port, "both", topic_aliasing_options=ALIASES)
    peer.subscribe("a/#")
    topics = [f"a/{number % 25}" for number in range(100)] + ["a/1"] * 20
    for topic in topics:
        peer.publish(topic)
    check_equal([message.topic for message in peer.wait_count(len(topics))], topics, "topics")


@case("v5/session_resumes")
def session_resumes(port: int):
    """What was published meanwhile comes in order."""
    panel, pub = Peer(port, "panel", expiry=100, session_behavior=REJOIN), Peer(port, "pub")
    panel.subscribe("s")
    panel.stop()
    for number in range(100):
        pub.publish("s", str(number))
    back = Peer(port, "panel", expiry=100, session_behavior=REJOIN)
    check_equal(back.connacks[0].session_present, True, "session present")
    back.expect(*(str(number) for number in range(100)))


@case("v5/takeover_reported")
def takeover_reported(port: int):
    """The first of two clients with one id is told why it ends."""
    first = Peer(port, "same", min_reconnect_delay_ms=60_000, max_reconnect_delay_ms=60_000)
    Peer(port, "same")
    goodbye = first.wait_goodbye()
    check(goodbye is not None, "the connection ended without a DISCONNECT")
    check_equal(goodbye.reason_code, mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER, "reason code")


@case("v311/durable_session")
def durable_session(port: int):
    """A session of 3.1.1 keeps its subscription and gets what was published meanwhile."""
    panel = mqtt.Connection(mqtt.Client(), "127.0.0.1", port, "panel", clean_session=False)
    result(panel.connect(), "CONNACK")
    check_equal(result(panel.subscribe("s", mqtt.QoS.AT_LEAST_ONCE)[0], "SUBACK")["qos"], 1, "granted QoS")
    result(panel.disconnect(), "the end of the connection")
    Peer(port, "pub").publish("s", "kept")
    came: list[bytes] = []
    arrived = threading.Event()
    back = mqtt.Connection(mqtt.Client(), "127.0.0.1", port, "panel", clean_session=False)
    back.on_message(lambda topic, payload, **_more: (came.append(payload), arrived.set()))
    check_equal(result(back.connect(), "CONNACK")["session_present"], True, "session present")
    check(arrived.wait(WAIT_SECONDS), "the message did not come")
    check_equal(came, [b"kept"], "payloads")


if __name__ == "__main__":
    main()
