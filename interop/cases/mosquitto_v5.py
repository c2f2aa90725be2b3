"""mosquitto clients with everything MQTT 5.0 adds on the command line."""

import collections
import time

from suite.case import case, case_for, check, check_equal
from suite.program import WAIT_SECONDS
from suite.scene import Scene, Subscriber
from suite.wire import Kind

PROPERTIES = "%p|%C|%D|%E|%F|%R|%P"


def _all_properties(packet: str) -> list[str]:
    """Flags that set every application property of a PUBLISH or a will."""
    return [word for name, *values in (
        ("content-type", "text/plain"),
        ("correlation-data", "order-17"),
        ("message-expiry-interval", "600"),
        ("payload-format-indicator", "1"),
        ("response-topic", "answers/17"),
        ("user-property", "b", "1"),
        ("user-property", "a", "2"),
        ("user-property", "b", "3"),
    ) for word in ("-D", packet, name, *values)]


ALL_PROPERTIES = "|text/plain|order-17|600|1|answers/17|b:1 a:2 b:3"


@case("mosquitto/v5/publish_properties")
def publish_properties(scene: Scene):
    """Every property of a PUBLISH arrives; user properties keep their order and repetition."""
    subs = [scene.sub("-t", "p", "-q", level, "-F", PROPERTIES) for level in "012"]
    old = scene.sub("-t", "p", "-F", "%p", version="311")
    for level in "012":
        scene.pub("-t", "p", "-m", level, "-q", level, *_all_properties("publish"))
    for sub in subs:
        sub.expect(*(level + ALL_PROPERTIES for level in "012"))
    old.expect("0", "1", "2")


@case("mosquitto/v5/retained_properties")
def retained_properties(scene: Scene):
    """A retained message keeps its properties."""
    scene.pub("-t", "p", "-m", "x", "-r", "-q", "1", *_all_properties("publish"))
    scene.sub("-t", "p", "-F", PROPERTIES.replace("%E", "600")).expect("x" + ALL_PROPERTIES)


@case("mosquitto/v5/will_properties")
def will_properties(scene: Scene):
    """Every property of a will arrives with it."""
    watch = scene.sub("-t", "w", "-q", "1", "-F", PROPERTIES)
    scene.sub("-t", "x", "--will-topic", "w", "--will-payload", "gone", "--will-qos", "1",
              *_all_properties("will")).kill()
    watch.expect("gone" + ALL_PROPERTIES)


@case("mosquitto/v5/disconnect_with_will")
def disconnect_with_will(scene: Scene):
    """On SIGTERM mosquitto_sub sends DISCONNECT 0x04, which asks for the will."""
    watch = scene.sub("-t", "w", "-F", "%p")
    scene.sub("-t", "x", "--will-topic", "w", "--will-payload", "asked for").stop()
    watch.expect("asked for")


@case("mosquitto/v5/will_delay")
def will_delay(scene: Scene):
    """A delayed will waits, and is not sent when its client returns in time."""
    watch = scene.sub("-t", "w/#", "-q", "1", "-F", "%p")
    late = ("-t", "x", "-c", "-x", "60", "-D", "will", "will-delay-interval", "2", "--will-qos", "1")
    scene.sub(*late, "-i", "stays-away", "--will-topic", "w/1", "--will-payload", "away").kill()
    killed = time.monotonic()
    scene.sub(*late, "-i", "returns", "--will-topic", "w/2", "--will-payload", "back").kill()
    scene.sub("-t", "x", "-c", "-x", "60", "-i", "returns")
    watch.wait_count(1)
    waited = time.monotonic() - killed
    check(1.5 <= waited <= 4.5, f"the will came after {waited:.1f} s, not 2 s")
    watch.stays_quiet(1.0)
    check_equal(watch.messages, ["away"], "wills")


@case("mosquitto/v5/will_delay_ends_with_session")
def will_delay_ends_with_session(scene: Scene):
    """A will whose delay exceeds the session expiry goes out when the session ends."""
    watch = scene.sub("-t", "w", "-q", "1", "-F", "%p")
    scene.sub("-t", "x", "-c", "-x", "1", "-i", "short", "--will-topic", "w", "--will-payload", "gone",
              "--will-qos", "1", "-D", "will", "will-delay-interval", "3600").kill()
    watch.expect("gone")


@case("mosquitto/v5/connect_properties")
def connect_properties(scene: Scene):
    """Every property of a CONNECT is accepted, on both tools.

    The alias maximum is 0 because libmosquitto 2.0 takes the number and then cannot resolve an alias.
    """
    connect = [word for name, *values in (
        ("session-expiry-interval", "30"),
        ("receive-maximum", "5"),
        ("maximum-packet-size", "4000"),
        ("topic-alias-maximum", "0"),
        ("request-problem-information", "0"),
        ("request-response-information", "1"),
        ("user-property", "site", "north"),
        ("user-property", "site", "south"),
    ) for word in ("-D", "connect", name, *values)]
    sub = scene.sub("-t", "p", "-q", "2", "-F", "%p", *connect)
    scene.pub("-t", "p", "-m", "hello", "-q", "2", *connect)
    sub.expect("hello")


@case("mosquitto/v5/other_packets_with_properties")
def other_packets_with_properties(scene: Scene):
    """User properties on SUBSCRIBE, UNSUBSCRIBE and DISCONNECT are accepted."""
    sub = scene.sub("-t", "a", "-t", "b", "-U", "b", "-q", "1", "-F", "%t", "-C", "1",
                    "-D", "subscribe", "user-property", "k", "v", "-D", "unsubscribe", "user-property", "k", "v",
                    "-D", "disconnect", "user-property", "k", "v")
    sub.wait_line("UNSUBACK")
    for topic in ("b", "a"):
        scene.pub("-t", topic, "-m", "x", "-q", "1", "-D", "disconnect", "user-property", "k", "v")
    check_equal(sub.finish(), 0, "exit code")
    check_equal(sub.messages, ["a"], "messages")


@case("mosquitto/v5/authentication_method_refused")
def authentication_method_refused(scene: Scene):
    """An unknown authentication method is answered with 0x8C."""
    scene.pub("-t", "a", "-m", "x", "-D", "connect", "authentication-method", "SCRAM-SHA-1",
              "-D", "connect", "authentication-data", "n,,n=user,r=nonce", code=0x8C)


@case("mosquitto/v5/broker_says_goodbye")
def broker_says_goodbye(scene: Scene):
    """A broker that stops tells its 5.0 clients 0x8B, after what it owed them, and then closes."""
    wire = scene.wire()
    scene.sub("-t", "a", "-q", "1", port=wire.port)
    scene.pub("-t", "a", "-m", "last", "-q", "1")
    wire.wait(kind=Kind.PUBACK)
    scene.broker.stop()
    goodbye = wire.wait(kind=Kind.DISCONNECT, from_broker=True)
    check_equal(goodbye.body[:1], b"\x8b", "reason of the DISCONNECT")
    last = [packet.kind for packet in wire.find(link=0, from_broker=True)][-1]
    check_equal(last, Kind.DISCONNECT, "last packet of the broker")


@case("mosquitto/v5/topic_alias")
def topic_alias(scene: Scene):
    """mosquitto_pub names the topic once and then only its alias."""
    sub = scene.sub("-t", "alias/#", "-q", "1", "-F", "%t %p")
    scene.pub("-t", "alias/one", "-l", "-q", "1", "-D", "publish", "topic-alias", "1", stdin=b"1\n2\n3\n")
    sub.expect(*(f"alias/one {number}" for number in (1, 2, 3)))


@case_for("mosquitto/v5/receive_maximum/q{level}", level="12")
def receive_maximum(scene: Scene, level: str):
    """A window of one still lets 100 queued messages through, in order and one at a time."""
    durable = ("-c", "-x", "60", "-i", "narrow", "-q", level, "-F", "%p", "-D", "connect", "receive-maximum", "1")
    scene.sub("-t", "n", *durable).stop()
    lines = [f"{number}" for number in range(100)]
    scene.pub("-t", "n", "-l", "-q", level, stdin="\n".join(lines).encode() + b"\n")
    sub = scene.sub("-t", "n", *durable)
    sub.expect(*lines)
    check_equal(_most_in_flight(sub), 1, "unacknowledged deliveries at a time")


def _most_in_flight(sub: Subscriber) -> int:
    now = most = 0
    for line in sub.out:
        now += " received PUBLISH" in line
        most = max(most, now)
        now -= " sending PUBACK" in line or " sending PUBCOMP" in line
    return most


@case("mosquitto/v5/maximum_packet_size")
def maximum_packet_size(scene: Scene):
    """What is too large for a subscriber is not sent to it, and does not hold up what follows."""
    small = scene.sub("-t", "m", "-q", "2", "-F", "%l", "-D", "connect", "maximum-packet-size", "60")
    roomy = scene.sub("-t", "m", "-q", "2", "-F", "%l")
    for level in "012":
        scene.pub("-t", "m", "-m", "x" * 30, "-q", level)
        scene.pub("-t", "m", "-m", "x" * 200, "-q", level)
    small.expect("30", "30", "30")
    roomy.expect("30", "200", "30", "200", "30", "200")


@case_for("mosquitto/v5/subscription_identifier/{identifier}", identifier=("1", "127", "16384", "268435455"))
def subscription_identifier(scene: Scene, identifier: str):
    """The identifier comes with live and with retained messages."""
    scene.pub("-t", "i", "-m", "retained", "-r", "-q", "1")
    sub = scene.sub("-t", "i", "-q", "1", "-F", "%p %S", "-D", "subscribe", "subscription-identifier", identifier)
    sub.wait_count(1)
    scene.pub("-t", "i", "-m", "live", "-q", "1")
    sub.expect(f"retained {identifier}", f"live {identifier}")


@case("mosquitto/v5/subscription_replaced")
def subscription_replaced(scene: Scene):
    """Subscribing again replaces QoS and identifier."""
    durable = ("-c", "-x", "60", "-i", "panel", "-t", "i", "-F", "%p %q %S")
    scene.sub(*durable, "-q", "2", "-D", "subscribe", "subscription-identifier", "1").stop()
    sub = scene.sub(*durable, "-q", "1", "-D", "subscribe", "subscription-identifier", "2")
    scene.pub("-t", "i", "-m", "x", "-q", "2")
    sub.expect("x 1 2")


@case("mosquitto/v5/retain_as_published")
def retain_as_published(scene: Scene):
    """The retain flag of a live message is kept on request only."""
    keeps = scene.sub("-t", "r", "-q", "1", "--retain-as-published", "-F", "%p %r")
    clears = scene.sub("-t", "r", "-q", "1", "-F", "%p %r")
    scene.pub("-t", "r", "-m", "plain", "-q", "1")
    scene.pub("-t", "r", "-m", "retained", "-q", "1", "-r")
    keeps.expect("plain 0", "retained 1")
    clears.expect("plain 0", "retained 0")


@case("mosquitto/v5/retained_once_per_subscription")
def retained_once_per_subscription(scene: Scene):
    """A retained message comes once for each filter that matches it, not once per filter of the SUBSCRIBE."""
    scene.pub("-t", "r/1", "-m", "one", "-r", "-q", "1")
    scene.sub("-t", "r/1", "-t", "other", "-t", "x/#", "-q", "1", "-F", "%p").expect("one")


@case_for("mosquitto/shared_subscription/v{version}", version=("311", "5"))
def shared_subscription(scene: Scene, version: str):
    """Three members share 60 messages: each message once, each member some; a plain subscriber gets all."""
    members = [scene.sub("-t", "$share/group/job/+", "-q", "1", "-F", "%p", version=version) for _ in range(3)]
    plain = scene.sub("-t", "job/+", "-q", "1", "-F", "%p", version=version)
    jobs = [f"{number}" for number in range(60)]
    scene.pub("-t", "job/a", "-l", "-q", "1", version=version, stdin="\n".join(jobs).encode() + b"\n")
    plain.expect(*jobs)
    _wait_shared(members, 60)
    counts = collections.Counter(line for member in members for line in member.messages)
    check_equal(counts, collections.Counter(jobs), "copies of each message")
    shares = [len(member.messages) for member in members]
    check(min(shares) > 0, f"one member got nothing: {shares}")


@case("mosquitto/v5/shared_subscription_member_dies")
def shared_subscription_member_dies(scene: Scene):
    """When a member is gone, the others get all the messages."""
    stays = scene.sub("-t", "$share/group/job", "-q", "1", "-F", "%p")
    scene.sub("-t", "$share/group/job", "-q", "1").kill()
    scene.sub("-t", "$share/group/job", "-q", "1").stop()
    jobs = [f"{number}" for number in range(20)]
    scene.pub("-t", "job", "-l", "-q", "1", stdin="\n".join(jobs).encode() + b"\n")
    stays.wait_count(20)
    check_equal(sorted(stays.messages), sorted(jobs), "messages of the last member")


@case("mosquitto/v5/shared_subscription_no_retained")
def shared_subscription_no_retained(scene: Scene):
    """A shared subscription gets no retained messages."""
    scene.pub("-t", "job", "-m", "kept", "-r", "-q", "1")
    member = scene.sub("-t", "$share/group/#", "-q", "1", "-F", "%p %r")
    member.stays_quiet()
    scene.pub("-t", "job", "-m", "live", "-r", "-q", "1")
    member.expect("live 0")


def _wait_shared(members: list[Subscriber], count: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while (arrived := sum(len(member.messages) for member in members)) < count:
        check(time.monotonic() < deadline, f"{arrived} of {count} messages arrived")
        time.sleep(0.05)


@case_for("mosquitto/request_response/q{level}", level="012")
def request_response(scene: Scene, level: str):
    """mosquitto_rr asks; the answer finds it by response topic and correlation data."""
    server = scene.sub("-t", "service", "-q", "2", "-F", "%R %D %p")
    ask = scene.start(scene.peers.tool("mosquitto_rr"), "-V", "5", "-p", scene.port, "-t", "service", "-e", "answers/1",
                      "-m", "what time?", "-q", level, "-W", "15",
                      "-D", "publish", "correlation-data", "req-1", "-F", "%p %D")
    answer_topic, correlation, question = server.wait_count(1)[0].split(" ", 2)
    check_equal((answer_topic, correlation, question), ("answers/1", "req-1", "what time?"), "request")
    scene.pub("-t", answer_topic, "-m", "late", "-q", level, "-D", "publish", "correlation-data", correlation)
    check_equal(ask.finish(), 0, "exit code of mosquitto_rr")
    check_equal(ask.out, ["late req-1"], "answer")


@case("mosquitto/request_response/v311")
def request_response_v311(scene: Scene):
    """mosquitto_rr works in 3.1.1 with a response topic agreed beforehand."""
    server = scene.sub("-t", "service", version="311")
    ask = scene.start(scene.peers.tool("mosquitto_rr"), "-V", "311", "-p", scene.port, "-t", "service",
                      "-e", "answers/1", "-m", "what time?", "-W", "15")
    server.wait_count(1)
    scene.pub("-t", "answers/1", "-m", "late", version="311")
    check_equal(ask.finish(), 0, "exit code of mosquitto_rr")
    check_equal(ask.out, ["late"], "answer")
