"""mosquitto_pub and mosquitto_sub in all three versions: what every version can do."""

import hashlib
import time

from suite.case import VERSIONS, case, case_for, check, check_equal
from suite.program import WAIT_SECONDS
from suite.scene import Scene

LARGE_BYTES = 5 * 1024 * 1024


@case("mosquitto/hello_world")
def hello_world(scene: Scene):
    """The two commands of README's first screen, word for word but for the port."""
    sub = scene.start(scene.peers.tool("mosquitto_sub"), "-p", scene.port, "-t", "hello/#", "-v")
    deadline = time.monotonic() + WAIT_SECONDS
    while not sub.out and time.monotonic() < deadline:
        scene.run(scene.peers.tool("mosquitto_pub"), "-p", scene.port, "-t", "hello/world", "-m", "hi")
        time.sleep(0.1)
    check(sub.out, "nothing arrived")
    check_equal(sub.out[0], "hello/world hi", "first line")


@case_for("mosquitto/v{version}/qos", version=VERSIONS)
def qos(scene: Scene, version: str):
    """A message arrives with the lower of its own and the subscription's QoS."""
    subs = {granted: scene.sub("-t", "q", "-q", granted, "-F", "%p with %q", version=version) for granted in "012"}
    for sent in "012":
        scene.pub("-t", "q", "-m", f"sent {sent}", "-q", sent, version=version)
    for granted, sub in subs.items():
        sub.expect(*(f"sent {sent} with {min(sent, granted)}" for sent in "012"))


@case_for("mosquitto/v{version}/wildcards", version=VERSIONS)
def wildcards(scene: Scene, version: str):
    """`+` stands for one level, also an empty one, `#` for the rest and its parent; neither begins at `$`."""
    topics = ["a", "a/b", "a/b/c", "/a", "a/", "a//c", "b"]
    matches = {
        "#": topics,
        "a/#": ["a", "a/b", "a/b/c", "a/", "a//c"],
        "a/+": ["a/b", "a/"],
        "+/+": ["a/b", "/a", "a/"],
        "a/+/c": ["a/b/c", "a//c"],
        "/+": ["/a"],
        "+": ["a", "b"],
    }
    subs = {text: scene.sub("-t", text, "-q", "1", "-F", "%t", version=version) for text in matches}
    for topic in topics:
        scene.pub("-t", topic, "-m", "x", "-q", "1", version=version)
    for text, expected in matches.items():
        subs[text].wait_count(len(expected))
    for text, expected in matches.items():
        check_equal(subs[text].messages, expected, f"matches of {text}")


@case_for("mosquitto/v{version}/retained", version=VERSIONS)
def retained(scene: Scene, version: str):
    """Set, replaced, cleared; a new subscriber gets the last value flagged retained, an old one unflagged."""
    old = scene.sub("-t", "r/#", "-F", "%t %p %r", version=version)
    scene.pub("-t", "r/1", "-m", "first", "-r", version=version)
    scene.pub("-t", "r/1", "-m", "second", "-r", "-q", "2", version=version)
    scene.pub("-t", "r/1", "-m", "passing", "-q", "1", version=version)
    scene.sub("-t", "r/#", "-F", "%t %p %r", version=version).expect("r/1 second 1")

    scene.pub("-t", "r/1", "-n", "-r", "-q", "1", version=version)
    scene.sub("-t", "r/#", "-F", "%t %p %r", version=version).expect()
    old.expect("r/1 first 0", "r/1 second 0", "r/1 passing 0", "r/1  0")


@case_for("mosquitto/v{version}/retained_only", version=VERSIONS)
def retained_only(scene: Scene, version: str):
    """`--retained-only` ends by itself after the retained messages."""
    scene.sub("-t", "r/#", version=version)
    for number in range(5):
        scene.pub("-t", f"r/{number}", "-m", f"{number}", "-r", "-q", "1", version=version)
    only = scene.sub("-t", "r/#", "-q", "1", "--retained-only", "-F", "%t %p %r", version=version)
    only.wait_count(5)
    # mosquitto_sub notices the end of the retained messages by the next one that is not.
    scene.pub("-t", "r/live", "-m", "live", "-q", "1", version=version)
    check_equal(only.finish(), 0, "exit code")
    check_equal(sorted(only.messages), [f"r/{number} {number} 1" for number in range(5)], "retained messages")


@case_for("mosquitto/v{version}/remove_retained", version=VERSIONS)
def remove_retained(scene: Scene, version: str):
    """`--remove-retained` clears what it receives; nothing is left for the next subscriber."""
    for number in range(3):
        scene.pub("-t", f"r/{number}", "-m", "x", "-r", "-q", "1", version=version)
    # It publishes the clearing messages into its own subscription and may print those too.
    scene.sub("-t", "r/#", "-q", "1", "--remove-retained", "-F", "%t %l", version=version).wait_count(3)
    deadline = time.monotonic() + WAIT_SECONDS
    while left := _retained_now(scene, version):
        check(time.monotonic() < deadline, f"still retained: {left}")


def _retained_now(scene: Scene, version: str) -> list[str]:
    fence = scene.sub("-t", "r/#", "-t", "fence", "-q", "1", "-F", "%t", version=version)
    scene.pub("-t", "fence", "-m", "x", "-q", "1", version=version)
    fence.wait_until(lambda: "fence" in fence.messages, "the fence")
    fence.stop()
    return [line for line in fence.messages if line != "fence"]


@case_for("mosquitto/v{version}/will", version=VERSIONS)
def will(scene: Scene, version: str):
    """`kill -9` of a client publishes its will with its QoS; a retained one stays."""
    watch = scene.sub("-t", "will/#", "-q", "2", "-F", "%t %p %q %r", version=version)
    dies = scene.sub("-t", "x", "--will-topic", "will/a", "--will-payload", "gone", "--will-qos", "2",
                     "--will-retain", version=version)
    watch.stays_quiet()
    dies.kill()
    watch.expect("will/a gone 2 0")
    scene.sub("-t", "will/#", "-q", "2", "-F", "%t %p %q %r", version=version).expect("will/a gone 2 1")


@case_for("mosquitto/v{version}/will_empty_payload", version=VERSIONS)
def will_empty_payload(scene: Scene, version: str):
    """A will without a payload is a will."""
    watch = scene.sub("-t", "will/#", "-F", "%t %l", version=version)
    scene.sub("-t", "x", "--will-topic", "will/a", version=version).kill()
    watch.expect("will/a 0")


@case_for("mosquitto/v{version}/no_will_after_disconnect", version=VERSIONS)
def no_will_after_disconnect(scene: Scene, version: str):
    """A normal DISCONNECT takes the will with it."""
    watch = scene.sub("-t", "will/#", version=version)
    leaves = scene.sub("-t", "x", "-C", "1", "--will-topic", "will/a", "--will-payload", "gone", version=version)
    scene.pub("-t", "x", "-m", "go", version=version)
    check_equal(leaves.finish(), 0, "exit code")
    watch.expect()


@case_for("mosquitto/v{version}/keep_alive", version=VERSIONS)
def keep_alive(scene: Scene, version: str):
    """A client that falls silent is closed after 1.5 keep alives, and its will goes out; a pinging one stays."""
    watch = scene.sub("-t", "will/#", "-F", "%p", version=version)
    pings = scene.sub("-t", "x", "-k", "5", "--will-topic", "will/a", "--will-payload", "pings", version=version)
    silent = scene.sub("-t", "x", "-k", "5", "--will-topic", "will/a", "--will-payload", "silent", version=version)
    silent.freeze()
    frozen = time.monotonic()
    watch.wait_count(1)
    waited = time.monotonic() - frozen
    check(5 <= waited <= 10, f"the will came {waited:.1f} s after the last packet, not 7.5 s")
    watch.expect("silent")
    check(pings.is_running(), "the pinging client lost its connection")


@case_for("mosquitto/v{version}/lines_in_order/q{level}", version=VERSIONS, level="012")
def lines_in_order(scene: Scene, version: str, level: str):
    """200 lines of one publisher arrive once each and in order."""
    sub = scene.sub("-t", "lines", "-q", level, "-F", "%p", version=version)
    lines = [f"line {number}" for number in range(200)]
    scene.pub("-t", "lines", "-l", "-q", level, version=version, stdin="\n".join(lines).encode() + b"\n")
    sub.expect(*lines)


@case_for("mosquitto/v{version}/large_payload", version=VERSIONS)
def large_payload(scene: Scene, version: str):
    """5 MiB arrive byte for byte, live and retained."""
    payload = hashlib.shake_128(b"large").digest(LARGE_BYTES)
    sent = scene.folder / "large"
    sent.write_bytes(payload)
    live = scene.sub("-t", "large", "-q", "1", "-C", "1", "-F", "%x", version=version)
    scene.pub("-t", "large", "-f", sent, "-r", "-q", "1", version=version)
    late = scene.sub("-t", "large", "-q", "2", "-C", "1", "-F", "%x", version=version)
    for sub in (live, late):
        check_equal(sub.finish(30), 0, "exit code")
        check(sub.messages[0] == payload.hex(), f"{len(sub.messages[0]) // 2} bytes arrived, and not the right ones")


@case_for("mosquitto/v{version}/empty_payload", version=VERSIONS)
def empty_payload(scene: Scene, version: str):
    """A message without a payload is a message."""
    sub = scene.sub("-t", "empty", "-q", "2", "-F", "%t %l", version=version)
    for level in "012":
        scene.pub("-t", "empty", "-n", "-q", level, version=version)
    sub.expect("empty 0", "empty 0", "empty 0")


@case_for("mosquitto/v{version}/several_filters", version=VERSIONS)
def several_filters(scene: Scene, version: str):
    """Filters given together and taken back with -U."""
    sub = scene.sub("-t", "a", "-t", "b/+", "-t", "c", "-U", "c", "-q", "1", "-F", "%t", version=version)
    sub.wait_line("UNSUBACK")
    for topic in ("a", "b/1", "c", "b/2"):
        scene.pub("-t", topic, "-m", "x", "-q", "1", version=version)
    sub.expect("a", "b/1", "b/2")


@case_for("mosquitto/v{version}/overlapping_filters", version=VERSIONS)
def overlapping_filters(scene: Scene, version: str):
    """Filters of one session that overlap give one copy."""
    sub = scene.sub("-t", "o/#", "-t", "o/+", "-t", "o/1", "-q", "2", "-F", "%p %q", version=version)
    scene.pub("-t", "o/1", "-m", "once", "-q", "2", version=version)
    sub.expect("once 2")


@case_for("mosquitto/v{version}/sys_topics", version=VERSIONS)
def sys_topics(scene: Scene, version: str):
    """The version is retained below $SYS and `#` does not match it."""
    everything = scene.sub("-t", "#", "-F", "%t", version=version)
    sub = scene.sub("-t", "$SYS/broker/version", "-C", "1", version=version)
    check_equal(sub.finish(), 0, "exit code")
    check(sub.messages[0], "the version is empty")
    everything.expect()


@case_for("mosquitto/v{version}/unusual_topics", version=VERSIONS)
def unusual_topics(scene: Scene, version: str):
    """Spaces, umlauts, an astral character, only slashes, and a long topic."""
    topics = ["with space", "größe/höhe", "🦇/ruft", "///", "long/" + "x" * 20_000]
    sub = scene.sub("-t", "#", "-q", "1", "-F", "%t", version=version)
    for topic in topics:
        scene.pub("-t", topic, "-m", "x", "-q", "1", version=version)
    sub.expect(*topics)


@case_for("mosquitto/v{version}/versions_meet", version=VERSIONS)
def versions_meet(scene: Scene, version: str):
    """A message of each version reaches subscribers of every version."""
    subs = [scene.sub("-t", "meet", "-q", "2", "-F", "%p %q", version=other) for other in VERSIONS]
    scene.pub("-t", "meet", "-m", "hello", "-q", "2", version=version)
    for sub in subs:
        sub.expect("hello 2")
