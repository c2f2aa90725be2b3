"""Cases for paho-mqtt about what only MQTT 5.0 has."""

import time

import paho.mqtt.client as mqtt
from paho_peer import FOR_EVER, IS_PAHO_2, QUIET_SECONDS, Peer, Will, properties

from suite.case import case, case_for, check, check_equal
from suite.wire import Kind, Packet, Verdict, Wire


def connected(port: int, client_id: str = "", **options) -> Peer:
    """A connected 5.0 client."""
    peer = Peer(port, "5", client_id, **options)
    peer.connect()
    return peer


@case("v5/properties_complete")
def properties_complete(port: int):
    """All properties of a PUBLISH arrive, user properties in order and with repetition."""
    sent = {
        "PayloadFormatIndicator": 1, "MessageExpiryInterval": 600, "ContentType": "text/plain; größe=1",
        "ResponseTopic": "answers/1", "CorrelationData": b"\x00\x01\xff",
        "UserProperty": [("b", "1"), ("a", "2"), ("b", "3"), ("", "")],
    }
    sub, pub = connected(port), connected(port)
    sub.subscribe("p")
    for qos in (0, 1, 2):
        pub.publish("p", "x", qos, **sent)
    for message in sub.expect("x", "x", "x"):
        arrived = {name: getattr(message.properties, name, None) for name in sent}
        check_equal(arrived, sent, "properties")


@case("v5/large_properties")
def large_properties(port: int):
    """500 user properties and a correlation of 60,000 bytes arrive."""
    pairs = [(f"key-{number}", "v" * 50) for number in range(500)]
    peer = connected(port)
    peer.subscribe("p")
    peer.publish("p", "x", 2, UserProperty=pairs, CorrelationData=b"c" * 60_000)
    message = peer.expect("x")[0]
    check_equal(len(message.properties.CorrelationData), 60_000, "length of the correlation data")
    check(message.properties.UserProperty == pairs, "the user properties differ")


@case("v5/will_properties")
def will_properties(port: int):
    """The properties of a will arrive with it."""
    sent = {"ContentType": "text/plain", "ResponseTopic": "r", "CorrelationData": b"c", "PayloadFormatIndicator": 1,
            "UserProperty": [("a", "1"), ("a", "2")]}
    watch = connected(port)
    watch.subscribe("w")
    connected(port, will=Will("w", properties=properties("WILLMESSAGE", **sent))).cut()
    message = watch.expect("gone")[0]
    check_equal({name: getattr(message.properties, name, None) for name in sent}, sent, "properties")


@case("v5/will_by_disconnect_code")
def will_by_disconnect_code(port: int):
    """DISCONNECT 0x04 asks for the will; 0x00 does not."""
    watch = connected(port)
    watch.subscribe("w")
    connected(port, "quiet", will=Will("w", "quiet")).disconnect(0x00)
    connected(port, "loud", will=Will("w", "loud")).disconnect(0x04)
    watch.expect("loud")


@case("v5/will_delay")
def will_delay(port: int):
    """A delayed will is not sent when the session goes on before the delay is over."""
    watch = connected(port)
    watch.subscribe("w")
    for client_id in ("away", "back"):
        delayed = Will("w", client_id, properties=properties("WILLMESSAGE", WillDelayInterval=2))
        connected(port, client_id, expiry=60, will=delayed).cut()
    cut = time.monotonic()
    check_equal(Peer(port, "5", "back", clean=False).connect().session_present, True, "session present")
    watch.wait_count(1)
    check(1.5 <= time.monotonic() - cut <= 4.5, f"the will came after {time.monotonic() - cut:.1f} s, not 2 s")
    watch.expect("away")


@case("v5/session_expiry")
def session_expiry(port: int):
    """Sessions of 0 s, 1 s and for ever, looked at after two seconds."""
    expected = {"none": (0, False), "second": (1, False), "ever": (FOR_EVER, True)}
    for client_id, (expiry, _) in expected.items():
        connected(port, client_id, expiry=expiry).cut()
    time.sleep(2.0)
    for client_id, (_, present) in expected.items():
        peer = Peer(port, "5", client_id, clean=False)
        check_equal(peer.connect().session_present, present, f"session present of {client_id}")


@case("v5/session_expiry_changed_by_disconnect")
def session_expiry_changed_by_disconnect(port: int):
    """DISCONNECT may shorten or lengthen the life of a session that has one."""
    connected(port, "shortened", expiry=60).disconnect(SessionExpiryInterval=0)
    connected(port, "lengthened", expiry=1).disconnect(SessionExpiryInterval=60)
    time.sleep(2.0)
    for client_id, present in (("shortened", False), ("lengthened", True)):
        peer = Peer(port, "5", client_id, clean=False)
        check_equal(peer.connect().session_present, present, f"session present of {client_id}")


@case("v5/session_expiry_raised_from_zero")
def session_expiry_raised_from_zero(port: int):
    """A session that was to end with its connection cannot be given a life by DISCONNECT: 0x82."""
    wire = Wire(port)
    peer = Peer(wire.port, "5", "panel")
    peer.connect()
    peer.client.disconnect(properties=properties("DISCONNECT", SessionExpiryInterval=60))
    answer = wire.wait(kind=Kind.DISCONNECT, from_broker=True)
    check_equal(answer.body[:1], b"\x82", "reason of the broker's DISCONNECT")


@case("v5/assigned_client_identifier")
def assigned_client_identifier(port: int):
    """Clients without an id are given different ones, which then work as such."""
    names = {Peer(port, "5").connect().properties.AssignedClientIdentifier for _ in range(3)}
    check_equal(len(names), 3, "different identifiers")
    peer = Peer(port, "5", expiry=60)
    name = peer.connect().properties.AssignedClientIdentifier
    peer.cut()
    check_equal(Peer(port, "5", name, clean=False).connect().session_present, True, "session present")


@case("v5/connack_properties")
def connack_properties(port: int):
    """CONNACK says no more than the standard allows, and its limits are usable."""
    stated = Peer(port, "5", "named").connect().properties
    check(not hasattr(stated, "AssignedClientIdentifier"), "an identifier was assigned to a client that has one")
    check(getattr(stated, "MaximumQoS", 1) in (0, 1), "Maximum QoS is neither 0 nor 1")
    check(getattr(stated, "ReceiveMaximum", 65_535) > 0, "Receive Maximum is 0")
    for name in ("RetainAvailable", "WildcardSubscriptionAvailable", "SubscriptionIdentifierAvailable",
                 "SharedSubscriptionAvailable"):
        check_equal(getattr(stated, name, 1), 1, name)


@case("v5/topic_alias_from_client")
def topic_alias_from_client(port: int):
    """An alias stands for its topic, can be given to another topic, and ends with the connection."""
    sub, pub = connected(port), Peer(port, "5", expiry=60)
    allowed = getattr(pub.connect().properties, "TopicAliasMaximum", 0)
    check(allowed >= 2, f"the broker takes {allowed} aliases")
    sub.subscribe("t/#", qos=1)
    pub.publish("t/one", "1", 2, TopicAlias=1)
    pub.publish("", "2", 2, TopicAlias=1)
    pub.publish("t/two", "3", 1, TopicAlias=allowed)
    pub.publish("", "4", 1, TopicAlias=allowed)
    pub.publish("t/three", "5", 1, TopicAlias=1)
    pub.publish("", "6", 1, TopicAlias=1)
    topics = [message.topic for message in sub.expect("1", "2", "3", "4", "5", "6")]
    check_equal(topics, ["t/one", "t/one", "t/two", "t/two", "t/three", "t/three"], "topics")


@case_for("v5/topic_alias_refused/{why}", why=("zero", "too_large", "unknown"))
def topic_alias_refused(port: int, why: str):
    """Alias 0 and one above the maximum are 0x94; one that stands for nothing may also be called 0x82."""
    wire = Wire(port)
    peer = Peer(wire.port, "5")
    allowed = getattr(peer.connect().properties, "TopicAliasMaximum", 0)
    topic, alias, codes = {
        "zero": ("t", 0, [0x94]), "too_large": ("t", allowed + 1, [0x94]), "unknown": ("", 1, [0x82, 0x94]),
    }[why]
    values = properties("PUBLISH", TopicAlias=1)
    object.__setattr__(values, "TopicAlias", alias)  # paho itself would refuse a 0.
    peer.client.publish(topic, "x", 1, properties=values)
    answer = wire.wait(kind=Kind.DISCONNECT, from_broker=True)
    check(answer.body[0] in codes, f"reason of the broker's DISCONNECT: {answer.body[0]:#x}")


@case("v5/topic_alias_to_client")
def topic_alias_to_client(port: int):
    """A client that allows no aliases never gets one, whatever publishers use."""
    sub, pub = connected(port), connected(port)
    sub.subscribe("t")
    pub.publish("t", "1", 1, TopicAlias=1)
    for number in range(2, 6):
        pub.publish("", str(number), 1, TopicAlias=1)
    for message in sub.expect("1", "2", "3", "4", "5"):
        check_equal((message.topic, hasattr(message.properties, "TopicAlias")), ("t", False), "topic and alias")


@case_for("v5/receive_maximum/q{qos}", qos=(1, 2))
def receive_maximum(port: int, qos: int):
    """No more deliveries than the client allows are open at a time; QoS 0 passes them by."""
    acknowledgement = Kind.PUBACK if qos == 1 else Kind.PUBREC

    def hold_acknowledgements(packet: Packet) -> Verdict:
        is_held = packet.kind is acknowledgement and not packet.from_broker
        return Verdict.HOLD_BACK if is_held else Verdict.PASS

    wire = Wire(port, hold_acknowledgements)
    sub, pub = connected(wire.port, ReceiveMaximum=3), connected(port)
    sub.subscribe("s", qos=qos)
    pub.wait_published([pub.publish_later("s", str(number), qos) for number in range(10)])
    pub.publish("s", "passes by", 0)
    time.sleep(QUIET_SECONDS)
    open_now = [packet for packet in wire.find(kind=Kind.PUBLISH, from_broker=True) if packet.qos == qos]
    check_equal(len(open_now), 3, "deliveries without an acknowledgement")
    check_equal(wire.count(kind=Kind.PUBLISH, from_broker=True, qos=0), 1, "QoS 0 messages past the full window")


if IS_PAHO_2:
    @case("v5/manual_acknowledgement")
    def manual_acknowledgement(port: int):
        """With acknowledgements by hand the window moves one by one."""
        sub, pub = connected(port, manual_ack=True, ReceiveMaximum=2), connected(port)
        sub.subscribe("s", qos=1)
        pub.wait_published([pub.publish_later("s", str(number), 1) for number in range(5)])
        sub.expect("0", "1")
        for number in range(3):
            sub.client.ack(sub.messages[number].mid, 1)
            sub.expect(*(str(arrived) for arrived in range(number + 3)))

    @case("v5/takeover_reported")
    def takeover_reported(port: int):
        """paho 2 reports the 0x8E of a takeover to the application."""
        first = connected(port, "panel")
        connected(port, "panel")
        check_equal(first.wait_disconnected(), 0x8E, "reason code")

    @case("v5/publish_reason_codes")
    def publish_reason_codes(port: int):
        """PUBACK and PUBREC say 0x00 when somebody is subscribed; 0x10 is allowed when nobody is."""
        peer = connected(port)
        for qos in (1, 2):
            peer.publish("nobody", "x", qos)
        peer.subscribe("somebody")
        for qos in (1, 2):
            peer.publish("somebody", "x", qos)
        peer.expect("x", "x")
        codes = [code for _, code in sorted(peer.published.items())]
        check(set(codes[:2]) <= {0x00, 0x10}, f"codes without a subscriber: {codes[:2]}")
        check_equal(codes[2:], [0, 0], "codes with a subscriber")


@case("v5/problem_information_declined")
def problem_information_declined(port: int):
    """A client that wants no problem information gets bare codes in everything but CONNACK and DISCONNECT."""
    wire = Wire(port)
    peer = connected(wire.port, RequestProblemInformation=0)
    peer.publish("nobody", "x", 1)
    peer.publish("nobody", "x", 2)
    peer.subscribe("a")
    peer.unsubscribe("a", "never/there")
    for kind in (Kind.PUBACK, Kind.PUBREC, Kind.PUBCOMP):
        for packet in wire.find(kind=kind, from_broker=True):
            check(packet.body[3:] in (b"", b"\0"), f"{kind.name} has properties: {packet.body!r}")
    for kind in (Kind.SUBACK, Kind.UNSUBACK):
        packet = wire.wait(kind=kind)
        check_equal(packet.body[2], 0, f"length of the properties of {kind.name}")


@case("v5/maximum_packet_size")
def maximum_packet_size(port: int):
    """What is too large for a client is dropped for it alone, without holding up the window."""
    small, roomy = connected(port, MaximumPacketSize=100, ReceiveMaximum=2), connected(port)
    pub = connected(port)
    for peer in (small, roomy):
        peer.subscribe("m", qos=1)
    for number in range(10):
        pub.publish("m", "x" * 200, 1 + number % 2)
        pub.publish("m", str(number), 1 + number % 2)
    small.expect(*(str(number) for number in range(10)))
    check_equal(len(roomy.wait_count(20)), 20, "messages of the other subscriber")


@case("v5/message_expiry")
def message_expiry(port: int):
    """A queued message counts down and is dropped when its time is over."""
    sub, pub = connected(port, "panel", clean=False), connected(port)
    sub.subscribe("s")
    sub.disconnect()
    pub.publish("s", "short", 1, MessageExpiryInterval=1)
    pub.publish("s", "long", 1, MessageExpiryInterval=100)
    pub.publish("s", "forever", 1)
    time.sleep(2.1)
    sub.connect()
    messages = sub.expect("long", "forever")
    left = messages[0].properties.MessageExpiryInterval
    check(90 <= left <= 98, f"{left} s left of 100 after two seconds")
    check(not hasattr(messages[1].properties, "MessageExpiryInterval"), "an expiry appeared from nowhere")


@case("v5/subscription_identifiers")
def subscription_identifiers(port: int):
    """All identifiers of the matching subscriptions come with the one copy; also with retained messages."""
    peer = connected(port)
    peer.publish("i/1", "kept", 1, retain=True)
    peer.subscribe("i/1", identifier=1)
    check_equal(peer.expect("kept")[0].properties.SubscriptionIdentifier, [1], "identifier of the retained message")
    peer.subscribe(("i/+", mqtt.SubscribeOptions(qos=1, retainHandling=2)), identifier=268_435_455)
    peer.subscribe(("i/#", mqtt.SubscribeOptions(qos=1, retainHandling=2)))
    peer.publish("i/1", "live")
    message = peer.expect("kept", "live")[1]
    check_equal(sorted(message.properties.SubscriptionIdentifier), [1, 268_435_455], "identifiers of the live message")
    peer.subscribe(("i/1", mqtt.SubscribeOptions(qos=1, retainHandling=2)))
    peer.publish("i/1", "replaced")
    message = peer.expect("kept", "live", "replaced")[2]
    check_equal(message.properties.SubscriptionIdentifier, [268_435_455], "identifiers after one was replaced by none")


@case("v5/no_local")
def no_local(port: int):
    """A client with No Local gets what others publish and not its own."""
    talker, other = connected(port, "talker"), connected(port, "other")
    talker.subscribe(("chat", mqtt.SubscribeOptions(qos=2, noLocal=True)))
    for qos in (0, 1, 2):
        talker.publish("chat", "own", qos)
        other.publish("chat", "other", qos)
    talker.expect("other", "other", "other")


@case("v5/no_local_on_shared_refused")
def no_local_on_shared_refused(port: int):
    """No Local on a shared subscription is a protocol error: DISCONNECT 0x82."""
    wire = Wire(port)
    peer = connected(wire.port)
    peer.client.subscribe([("$share/group/chat", mqtt.SubscribeOptions(qos=1, noLocal=True))])
    answer = wire.wait(kind=Kind.DISCONNECT, from_broker=True)
    check_equal(answer.body[:1], b"\x82", "reason of the broker's DISCONNECT")


@case("v5/retain_as_published")
def retain_as_published(port: int):
    """The retain flag is kept for those who ask, live and from the queue."""
    keeps, clears = connected(port, "keeps", expiry=60), connected(port)
    keeps.subscribe(("r", mqtt.SubscribeOptions(qos=1, retainAsPublished=True)))
    clears.subscribe("r", qos=1)
    pub = connected(port)
    pub.publish("r", "plain")
    pub.publish("r", "kept", retain=True)
    check_equal([message.retain for message in keeps.expect("plain", "kept")], [0, 1], "retain with the option")
    check_equal([message.retain for message in clears.expect("plain", "kept")], [0, 0], "retain without it")
    keeps.disconnect()
    pub.publish("r", "queued", retain=True)
    keeps.clean = False
    keeps.connect()
    messages = keeps.expect("plain", "kept", "queued")
    check_equal([message.retain for message in messages], [0, 1, 1], "retain from the queue")


@case("v5/retain_handling")
def retain_handling(port: int):
    """0 sends retained messages at each SUBSCRIBE, 1 for a new subscription, 2 never."""
    connected(port).publish("r", "kept", retain=True)
    for handling, expected in ((0, 2), (1, 1), (2, 0)):
        peer = connected(port)
        for _ in range(2):
            peer.subscribe(("r", mqtt.SubscribeOptions(qos=1, retainHandling=handling)))
        peer.expect(*["kept"] * expected)
        peer.unsubscribe("r")
        peer.subscribe(("r", mqtt.SubscribeOptions(qos=1, retainHandling=handling)))
        peer.expect(*["kept"] * (expected + (handling != 2)))


@case("v5/request_response")
def request_response(port: int):
    """A question finds its way back by response topic and correlation data."""
    server, client = connected(port), connected(port)

    def answer(question) -> None:
        server.publish_later(question.properties.ResponseTopic, question.payload.upper(), 1,
                             CorrelationData=question.properties.CorrelationData)

    server.on_message = answer
    server.subscribe("service")
    client.subscribe("answers/me")
    for number in range(5):
        client.publish("service", f"q{number}", 1, ResponseTopic="answers/me", CorrelationData=bytes([number]))
    answers = client.expect(*(f"Q{number}" for number in range(5)))
    correlations = [message.properties.CorrelationData for message in answers]
    check_equal(correlations, [bytes([number]) for number in range(5)], "correlation")


@case("v5/offline_queue_keeps_properties")
def offline_queue_keeps_properties(port: int):
    """Properties and subscription identifiers survive the queue."""
    sub, pub = connected(port, "panel", clean=False), connected(port)
    sub.subscribe("s", identifier=7)
    sub.disconnect()
    pub.publish("s", "away", 2, UserProperty=[("a", "1"), ("a", "2")], ContentType="text/plain")
    sub.connect()
    found = sub.expect("away")[0].properties
    check_equal((found.SubscriptionIdentifier, found.UserProperty, found.ContentType),
                ([7], [("a", "1"), ("a", "2")], "text/plain"), "identifier and properties")


@case("v5/clean_start_ends_the_session")
def clean_start_ends_the_session(port: int):
    """Clean Start drops the subscriptions of the session before; without it they stay."""
    connected(port, "panel", expiry=60).subscribe("old")
    back = Peer(port, "5", "panel", clean=False)
    check_equal(back.connect().session_present, True, "session present without clean start")
    fresh = Peer(port, "5", "panel", clean=True, expiry=60)
    check_equal(fresh.connect().session_present, False, "session present with clean start")
    fresh.publish("old", "lost")
    fresh.subscribe("new")
    fresh.publish("new", "found")
    fresh.expect("found")


@case("v5/versions_share_a_session")
def versions_share_a_session(port: int):
    """A session begun in 3.1.1 goes on in 5.0 and back, with its queue."""
    old = Peer(port, "311", "panel", clean=False)
    old.connect()
    old.subscribe("s", qos=1)
    old.disconnect()
    pub = connected(port)
    pub.publish("s", "for 5.0", UserProperty=("a", "1"))
    new = Peer(port, "5", "panel", clean=False)
    check_equal(new.connect().session_present, True, "session present in 5.0")
    check_equal(new.expect("for 5.0")[0].properties.UserProperty, [("a", "1")], "user property")
    new.disconnect()
    pub.publish("s", "for 3.1.1", UserProperty=("a", "1"))
    check_equal(old.connect().session_present, True, "session present in 3.1.1")
    old.expect("for 3.1.1")
