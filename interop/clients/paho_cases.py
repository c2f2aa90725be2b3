"""Cases for paho-mqtt 1.6 and 2.x in every version of the protocol."""

import collections
import hashlib
import ssl
import threading
import time

import paho_v5_cases  # noqa: F401  (registers the cases of 5.0)
from paho_peer import QUIET_SECONDS, Peer, Will

from suite.case import VERSIONS, CaseFailed, case_for, check, check_equal
from suite.client_program import main
from suite.wire import Kind, Packet, Verdict, Wire

LARGE_BYTES = 2 * 1024 * 1024
# Lengths around the borders of a frame's length, of a TLS record, of the broker's buffers and of its pieces of a payload.
BORDERS = tuple(border + more for border in (126, 16 << 10, 40 << 10, 64 << 10, 128 << 10) for more in (-14, -1, 0, 1))
STALL_BYTES = 5_000_000
EXCHANGES = 50
# Half of what one lasts when the kernel delays an acknowledgement once.
PROMPT_SECONDS = 0.020
QOS2_KINDS = (Kind.PUBLISH, Kind.PUBREC, Kind.PUBREL, Kind.PUBCOMP)


def every_version(name: str):
    """Registers the case once per version of the protocol."""
    return case_for("v{version}/" + name, version=VERSIONS)


@every_version("round_trip_both_ways")
def round_trip_both_ways(port: int, version: str):
    """Two clients talk to each other in every QoS; nothing is a duplicate or flagged retained."""
    left, right = Peer(port, version, "left"), Peer(port, version, "right")
    for peer, topic in ((left, "to/left"), (right, "to/right")):
        check_equal(peer.connect().session_present, False, "session present")
        check_equal(peer.subscribe(topic), [2], "granted QoS")
    for qos in (0, 1, 2):
        left.publish("to/right", f"right {qos}", qos)
        right.publish("to/left", f"left {qos}", qos)
    for peer, name in ((left, "left"), (right, "right")):
        messages = peer.expect(*(f"{name} {qos}" for qos in (0, 1, 2)))
        check_equal([message.qos for message in messages], [0, 1, 2], "QoS")
        check_equal([(message.dup, message.retain) for message in messages], [(0, 0)] * 3, "DUP and retain")
        peer.disconnect()


@every_version("qos2_handshake")
def qos2_handshake(port: int, version: str):
    """The four packets of QoS 2 in both directions, each once."""
    wire = Wire(port)
    peer = Peer(wire.port, version)
    peer.connect()
    peer.subscribe("echo")
    peer.publish("echo", "hello", 2)
    peer.expect("hello")
    wire.wait(kind=Kind.PUBCOMP, from_broker=False)
    for from_broker in (False, True):
        kinds = [packet.kind for packet in wire.find(from_broker=from_broker) if packet.kind in QOS2_KINDS]
        check_equal(collections.Counter(kinds), collections.Counter(QOS2_KINDS),
                    "packets of the broker" if from_broker else "packets of the client")


@every_version("thousand_in_order")
def thousand_in_order(port: int, version: str):
    """1,000 messages of QoS 1 arrive once each and in order."""
    sub, pub = Peer(port, version), Peer(port, version)
    sub.connect()
    sub.subscribe("load", qos=1)
    pub.connect()
    payloads = [str(number) for number in range(1000)]
    pub.wait_published([pub.publish_later("load", payload, 1) for payload in payloads])
    sub.expect(*payloads)


@every_version("request_and_response_are_prompt")
def request_and_response_are_prompt(port: int, version: str):
    """50 requests and their responses at QoS 1, one after the other, do not wait 40 ms each for the kernel."""
    asks, answers = Peer(port, version, "asks"), Peer(port, version, "answers")
    for peer, topic in ((asks, "response"), (answers, "request")):
        peer.connect()
        peer.subscribe(topic, qos=1)
    answers.on_message = lambda message: answers.publish_later("response", message.payload, 1)
    begin = time.monotonic()
    for number in range(EXCHANGES):
        asks.publish_later("request", str(number), 1)
        asks.wait_count(number + 1)
    seconds = time.monotonic() - begin
    check(seconds < EXCHANGES * PROMPT_SECONDS, f"{EXCHANGES} exchanges took {seconds:.2f} s")


@every_version("durable_session_resumes_with_dup")
def durable_session_resumes_with_dup(port: int, version: str):
    """What was sent and not acknowledged comes again, flagged DUP; what was not sent comes for the first time."""
    sub, pub = Peer(port, version, "panel", clean=False), Peer(port, version)
    check_equal(sub.connect().session_present, False, "session present at first")
    sub.subscribe("s", qos=1)
    pub.connect()

    cut_once = threading.Event()

    def cut_before_ack(_message) -> None:
        if not cut_once.is_set():
            cut_once.set()
            sub.client.socket().shutdown(2)

    sub.on_message = cut_before_ack
    pub.publish("s", "unacknowledged")
    sub.wait_disconnected()
    pub.publish("s", "queued")
    sub.messages.clear()

    check_equal(sub.connect().session_present, version != "31", "session present at resume")
    messages = sub.expect("unacknowledged", "queued")
    check_equal([bool(message.dup) for message in messages], [True, False], "DUP")


@every_version("offline_queue")
def offline_queue(port: int, version: str):
    """QoS 1 and 2 wait for a durable session; QoS 0 does not."""
    sub, pub = Peer(port, version, "panel", clean=False), Peer(port, version)
    sub.connect()
    sub.subscribe("s")
    sub.disconnect()
    pub.connect()
    for qos in (0, 1, 2):
        pub.publish("s", f"qos {qos}", qos)
    sub.connect()
    messages = sub.expect("qos 1", "qos 2")
    check_equal([(message.qos, bool(message.dup)) for message in messages], [(1, False), (2, False)], "QoS and DUP")


@every_version("publisher_resumes_exactly_once")
def publisher_resumes_exactly_once(port: int, version: str):
    """A QoS 2 message whose PUBREC is lost is sent again, whatever its DUP, and routed once.

    A paho whose socket is cut before its own send call has returned takes the message for unsent, and sends it
    again without DUP."""
    wire = Wire(port, cut_at(Kind.PUBREC, from_broker=True))
    sub, pub = Peer(port, version), Peer(wire.port, version, "sensor", clean=False)
    sub.connect()
    sub.subscribe("s")
    pub.connect()
    info = pub.publish_later("s", "once", 2)
    pub.wait_disconnected()
    pub.connect()
    pub.wait_published([info])
    check(wire.count(kind=Kind.PUBLISH, link=1), "paho did not send the PUBLISH again")
    sub.expect("once")


@every_version("publisher_resends_pubrel")
def publisher_resends_pubrel(port: int, version: str):
    """A QoS 2 message whose PUBCOMP is lost is completed after the reconnect and routed once."""
    wire = Wire(port, cut_at(Kind.PUBCOMP, from_broker=True))
    sub, pub = Peer(port, version), Peer(wire.port, version, "sensor", clean=False)
    sub.connect()
    sub.subscribe("s")
    pub.connect()
    info = pub.publish_later("s", "once", 2)
    pub.wait_disconnected()
    pub.connect()
    pub.wait_published([info])
    check(wire.count(kind=Kind.PUBREL, link=1), "paho did not send the PUBREL again")
    sub.expect("once")
    pub.publish("s", "twice", 2)
    sub.expect("once", "twice")


@every_version("subscriber_is_owed_pubrel")
def subscriber_is_owed_pubrel(port: int, version: str):
    """After a reconnect the broker sends the PUBREL it owes, not the PUBLISH again."""
    wire = Wire(port, cut_at(Kind.PUBREL, from_broker=True))
    sub, pub = Peer(wire.port, version, "panel", clean=False), Peer(port, version)
    sub.connect()
    sub.subscribe("s")
    pub.connect()
    pub.publish("s", "once", 2)
    sub.wait_disconnected()
    sub.connect()
    sub.expect("once")
    check_equal(wire.count(kind=Kind.PUBLISH, link=1), 0, "PUBLISH packets on the second connection")
    first, second = wire.find(kind=Kind.PUBREL, from_broker=True)
    check_equal(second.packet_id, first.packet_id, "packet id of the second PUBREL")


@every_version("subscriber_gets_dup_of_qos2")
def subscriber_gets_dup_of_qos2(port: int, version: str):
    """A QoS 2 delivery whose PUBREC is lost comes again with DUP and the same packet id."""
    wire = Wire(port, cut_at(Kind.PUBREC, from_broker=False))
    sub, pub = Peer(wire.port, version, "panel", clean=False), Peer(port, version)
    sub.connect()
    sub.subscribe("s")
    pub.connect()
    pub.publish("s", "once", 2)
    sub.wait_disconnected()
    sub.connect()
    sub.expect("once")
    first, second = wire.find(kind=Kind.PUBLISH, from_broker=True)
    check_equal((first.dup, second.dup), (False, True), "DUP of both deliveries")
    check_equal(second.packet_id, first.packet_id, "packet id of the second delivery")


def cut_at(kind: Kind, from_broker: bool):
    """Cuts the first connection when it carries this packet, which is then lost."""

    def rule(packet: Packet) -> Verdict:
        lost = packet.kind is kind and packet.from_broker is from_broker and packet.link == 0
        return Verdict.CUT if lost else Verdict.PASS

    return rule


@every_version("resumes_with_full_window")
def resumes_with_full_window(port: int, version: str):
    """50 queued messages of mixed QoS arrive once each although the first connection acknowledged none."""
    wire = Wire(port, lambda packet: Verdict.HOLD_BACK if _is_acknowledgement(packet) else Verdict.PASS)
    sub, pub = Peer(wire.port, version, "panel", clean=False), Peer(port, version)
    sub.connect()
    sub.subscribe("s")
    pub.connect()
    payloads = [str(number) for number in range(50)]
    pub.wait_published([pub.publish_later("s", payload, 1 + number % 2) for number, payload in enumerate(payloads)])
    time.sleep(QUIET_SECONDS)
    sub.cut()
    sub.messages.clear()
    wire.rule = lambda packet: Verdict.PASS
    sub.connect()
    sub.wait_count(50)
    time.sleep(QUIET_SECONDS)
    check_equal(sorted(sub.payloads(), key=int), payloads, "payloads")


def _is_acknowledgement(packet: Packet) -> bool:
    return not packet.from_broker and packet.kind in (Kind.PUBACK, Kind.PUBREC)


@every_version("takeover")
def takeover(port: int, version: str):
    """A second connection of a client id takes the session over; 5.0 tells the first one 0x8E."""
    wire = Wire(port)
    first, second = Peer(wire.port, version, "panel", clean=False), Peer(port, version, "panel", clean=False)
    first.connect()
    first.subscribe("s", qos=1)
    check_equal(second.connect().session_present, version != "31", "session present")
    first.wait_disconnected()
    farewell = [packet.body[:1] for packet in wire.find(kind=Kind.DISCONNECT, from_broker=True)]
    check_equal(farewell, [b"\x8e"] if version == "5" else [], "reason of the DISCONNECT")
    pub = Peer(port, version)
    pub.connect()
    pub.publish("s", "to the second")
    second.expect("to the second")
    check_equal(first.payloads(), [], "messages on the first connection")


@every_version("takeover_publishes_will")
def takeover_publishes_will(port: int, version: str):
    """Being taken over is no normal DISCONNECT: the will goes out."""
    watch = Peer(port, version)
    watch.connect()
    watch.subscribe("will/#")
    first = Peer(port, version, "panel", will=Will("will/panel", "taken over"))
    first.connect()
    Peer(port, version, "panel").connect()
    watch.expect("taken over")


@every_version("will")
def will(port: int, version: str):
    """A broken connection publishes the will, a DISCONNECT does not; the retain flag counts."""
    watch = Peer(port, version)
    watch.connect()
    watch.subscribe("will/#")
    for qos in (0, 1, 2):
        leaves = Peer(port, version, f"leaves-{qos}", will=Will("will/leaves", qos=qos))
        leaves.connect()
        leaves.disconnect()
        dies = Peer(port, version, f"dies-{qos}", will=Will(f"will/{qos}", f"died {qos}", qos, retain=qos == 2))
        dies.connect()
        dies.cut()
        watch.wait_count(qos + 1)
    messages = watch.expect("died 0", "died 1", "died 2")
    check_equal([message.qos for message in messages], [0, 1, 2], "QoS")
    check_equal({message.retain for message in messages}, {0}, "retain")
    late = Peer(port, version)
    late.connect()
    late.subscribe("will/#")
    kept, = late.expect("died 2")
    check_equal((kept.topic, kept.retain), ("will/2", 1), "topic and retain of the retained will")


@every_version("keep_alive")
def keep_alive(port: int, version: str):
    """Pings are answered and keep a connection; a silent client is closed after 1.5 keep alives."""
    wire = Wire(port)
    watch = Peer(port, version)
    watch.connect()
    watch.subscribe("will/#")
    pings = Peer(wire.port, version, "pings", keep_alive=2, will=Will("will/pings", "pings"))
    pings.connect()
    silent = Peer(port, version, "silent", keep_alive=2, will=Will("will/silent", "silent"))
    # Its CONNECT is its last packet, and paho takes up to a second to fall silent.
    started = time.monotonic()
    silent.connect()
    silent.fall_silent()
    watch.wait_count(1)
    waited = time.monotonic() - started
    check(2.9 <= waited <= 6, f"the will came {waited:.1f} s after the last packet, not 3 s")
    watch.expect("silent")
    check(wire.count(kind=Kind.PINGRESP) >= 1, "no PINGRESP")
    pings.publish("still/here")


@every_version("retained")
def retained(port: int, version: str):
    """Set, replaced and cleared; flagged for a new subscription only."""
    pub, live = Peer(port, version), Peer(port, version)
    pub.connect()
    live.connect()
    live.subscribe("r/#")
    for qos, payload in enumerate(("first", "second", "third")):
        pub.publish("r/1", payload, qos, retain=True)
        pub.publish(f"r/other/{qos}", payload, qos, retain=True)
    late = Peer(port, version)
    late.connect()
    late.subscribe("r/1")
    check_equal([(message.qos, message.retain) for message in late.expect("third")], [(2, 1)], "QoS and retain")
    pub.publish("r/1", "", 1, retain=True)
    late.subscribe("r/1")
    late.expect("third", "")
    check_equal({message.retain for message in live.wait_count(7)}, {0}, "retain flag of live messages")


@every_version("thousand_retained")
def thousand_retained(port: int, version: str):
    """1,000 retained topics all reach one `#` subscriber."""
    pub = Peer(port, version)
    pub.connect()
    pub.wait_published([pub.publish_later(f"r/{number}", str(number), 1, retain=True) for number in range(1000)])
    sub = Peer(port, version)
    sub.connect()
    sub.subscribe("#", qos=1)
    sub.wait_count(1000)
    check_equal(len(set(sub.payloads())), 1000, "different messages")


@every_version("unsubscribe")
def unsubscribe(port: int, version: str):
    """After UNSUBACK nothing comes; 5.0 has a code for each filter."""
    peer = Peer(port, version)
    peer.connect()
    peer.subscribe("a", "b")
    codes = peer.unsubscribe("a", "never/there")
    check_equal(codes, [0x00, 0x11] if version == "5" else [], "codes of UNSUBACK")
    for topic in ("a", "b"):
        peer.publish(topic, topic, 2)
    peer.expect("b")


@every_version("many_filters")
def many_filters(port: int, version: str):
    """One SUBSCRIBE with 200 filters gets one code each, in order."""
    peer = Peer(port, version)
    peer.connect()
    granted = [number % 3 for number in range(200)]
    codes = peer.subscribe(*((f"f/{number}", peer.options(qos)) for number, qos in enumerate(granted)))
    check_equal(codes, granted, "codes of SUBACK")
    for number in (0, 99, 199):
        peer.publish(f"f/{number}", str(number), 2)
    check_equal(sorted((message.payload.decode(), message.qos) for message in peer.wait_count(3)),
                [("0", 0), ("199", 1), ("99", 0)], "payload and QoS")


@every_version("overlapping_filters")
def overlapping_filters(port: int, version: str):
    """Overlapping subscriptions give one copy with the highest granted QoS."""
    peer = Peer(port, version)
    peer.connect()
    for qos, text in enumerate(("o/#", "o/+", "o/1")):
        peer.subscribe(text, qos=qos)
    peer.publish("o/1", "once", 2)
    check_equal([message.qos for message in peer.expect("once")], [2], "QoS")


@every_version("large_message")
def large_message(port: int, version: str):
    """2 MiB arrive byte for byte in every QoS."""
    payload = hashlib.shake_128(b"large").digest(LARGE_BYTES)
    peer = Peer(port, version)
    peer.connect()
    peer.subscribe("large")
    for qos in (0, 1, 2):
        peer.publish("large", payload, qos)
    for message in peer.wait_count(3):
        check(message.payload == payload, f"{len(message.payload)} other bytes arrived")


@every_version("empty_payload")
def empty_payload(port: int, version: str):
    """A message without a payload is a message."""
    peer = Peer(port, version)
    peer.connect()
    peer.subscribe("empty")
    for qos in (0, 1, 2):
        peer.publish("empty", "", qos)
    peer.expect("", "", "")


@every_version("client_id_of_odd_characters")
def client_id_of_odd_characters(port: int, version: str):
    """Client ids with slashes, spaces and letters of other scripts keep their sessions apart."""
    names = ("a/b", "größe 1", "蝙蝠", "a" * 23)
    for name in names:
        peer = Peer(port, version, name, clean=False)
        peer.connect()
        peer.subscribe("s/" + str(names.index(name)))
        peer.disconnect()
    pub = Peer(port, version)
    pub.connect()
    for number, name in enumerate(names):
        pub.publish(f"s/{number}", name)
    for name in names:
        peer = Peer(port, version, name, clean=False)
        peer.connect()
        peer.expect(name)


@every_version("shared_subscription")
def shared_subscription(port: int, version: str):
    """Two groups share: each group gets each message once, each member some."""
    groups = {name: [Peer(port, version) for _ in range(2)] for name in ("red", "blue")}
    for name, members in groups.items():
        for member in members:
            member.connect()
            check_equal(member.subscribe(f"$share/{name}/job/#", qos=1), [1], "granted QoS")
    pub = Peer(port, version)
    pub.connect()
    jobs = [str(number) for number in range(40)]
    pub.wait_published([pub.publish_later("job/x", job) for job in jobs])
    time.sleep(QUIET_SECONDS)
    for name, members in groups.items():
        arrived = [member.payloads() for member in members]
        check_equal(sorted(sum(arrived, [])), sorted(jobs), f"messages of the group {name}")
        check(all(arrived), f"a member of {name} got nothing: {[len(part) for part in arrived]}")


@every_version("sys_topics")
def sys_topics(port: int, version: str):
    """$SYS is there when asked for and is not part of `#`."""
    peer = Peer(port, version)
    peer.connect()
    peer.subscribe("#", "+/broker/version")
    peer.expect()
    peer.subscribe("$SYS/broker/version")
    message = peer.wait_count(1)[0]
    check_equal((message.topic, message.retain), ("$SYS/broker/version", 1), "topic and retain")


@every_version("tls/round_trip")
def tls_round_trip(port: int, version: str):
    """Over TLS and beside it, in every QoS, also with payloads longer than a record."""
    sealed, plain = Peer(port, version, "sealed", tls=True), Peer(port, version, "plain")
    for peer in (sealed, plain):
        peer.connect()
        peer.subscribe(f"to/{peer.client_id}")
    for qos in (0, 1, 2):
        sealed.publish("to/plain", f"plain {qos}", qos)
        plain.publish("to/sealed", f"sealed {qos}", qos)
    plain.publish("to/sealed", patterned(LARGE_BYTES), 1)
    plain.expect(*(f"plain {qos}" for qos in (0, 1, 2)))
    messages = sealed.wait_count(4)
    check_equal([message.payload for message in messages[:3]], [b"sealed 0", b"sealed 1", b"sealed 2"], "payloads")
    check(messages[3].payload == patterned(LARGE_BYTES), "the long payload differs")


@every_version("tls/stranger")
def tls_stranger(port: int, version: str):
    """A client that does not know who signed the certificate refuses it, and the broker goes on."""
    try:
        Peer(port, version, "careful", tls=True, believes=None).connect()
    except ssl.SSLCertVerificationError:
        Peer(port, version, "knows", tls=True).connect()
    else:
        raise CaseFailed("it believed a stranger")


def over_websockets(name: str, versions: tuple[str, ...] = VERSIONS):
    """Registers the case once per version and kind of WebSocket."""
    return case_for("v{version}/{websocket}/" + name, version=versions, websocket=("ws", "wss"))


def patterned(length: int) -> bytes:
    period = bytes((index * 31 + (index >> 8)) & 0xff for index in range(65_521))
    return (period * (length // len(period) + 1))[:length]


@over_websockets("every_length")
def every_length(port: int, version: str, websocket: str):
    """Payloads around every border arrive as they were sent, in both directions at once."""
    left, right = (Peer(port, version, name, websocket=websocket) for name in ("left", "right"))
    for peer in (left, right):
        peer.connect()
        peer.subscribe(f"to/{peer.client_id}", qos=1)
    infos = {"left": [], "right": []}
    for length in BORDERS:
        infos["left"].append(left.publish_later("to/right", patterned(length), 1))
        infos["right"].append(right.publish_later("to/left", patterned(length), 1))
    for peer in (left, right):
        peer.wait_published(infos[peer.client_id])
        messages = peer.wait_count(len(BORDERS))
        check_equal([len(message.payload) for message in messages], list(BORDERS), "lengths")
        check(all(message.payload == patterned(len(message.payload)) for message in messages), "a payload differs")
        peer.disconnect()


@over_websockets("five_megabytes", versions=("5",))
def five_megabytes(port: int, version: str, websocket: str):
    """Large publications go through from and to WebSockets in every QoS, also both ways at once."""
    left, right = (Peer(port, version, name, websocket=websocket) for name in ("left", "right"))
    plain = Peer(port, version, "plain")
    for peer in (left, right, plain):
        peer.connect()
        peer.subscribe("large")
    payload = patterned(STALL_BYTES)
    # One of QoS 0 at a time: a further one would be dropped while a receiver has as much to read.
    for publishers, qos in (((left,), 0), ((plain,), 2), ((right, plain), 1)):
        infos = [(peer, peer.publish_later("large", payload, qos)) for peer in publishers]
        for peer, info in infos:
            peer.wait_published([info])
        for peer in (left, right, plain):
            messages = peer.wait_count(len(publishers))
            check(all(message.payload == payload for message in messages), "a payload differs")
            peer.messages.clear()


@over_websockets("slow_reader", versions=("311",))
def slow_reader(port: int, version: str, websocket: str):
    """A client that stops reading for a while gets everything when it reads again, and nobody waits for it."""
    slow, other = (Peer(port, version, name, websocket=websocket) for name in ("slow", "other"))
    for peer in (slow, other):
        peer.connect()
        peer.subscribe("large", qos=1)
    slow.fall_silent()
    payload = patterned(STALL_BYTES // 5)
    other.wait_published([other.publish_later("large", payload, 1) for _ in range(10)])
    other.wait_count(10)
    slow.client.loop_start()
    messages = slow.wait_count(10)
    check(all(message.payload == payload for message in messages), "a payload differs")


if __name__ == "__main__":
    main()
