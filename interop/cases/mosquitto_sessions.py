"""mosquitto clients whose sessions outlive their connections."""

from suite.case import VERSIONS, case, case_for, check, check_equal
from suite.scene import Scene

DURABLE = {"31": ("-c",), "311": ("-c",), "5": ("-c", "-x", "3600")}


@case_for("mosquitto/v{version}/offline_queue", version=VERSIONS)
def offline_queue(scene: Scene, version: str):
    """A durable session gets what came while it was away, in order and as a first delivery."""
    durable = (*DURABLE[version], "-i", "panel", "-q", "2", "-F", "%t %p %q")
    scene.sub("-t", "s/#", *durable, version=version).stop()
    for level in "012":
        scene.pub("-t", f"s/{level}", "-m", "away", "-q", level, version=version)
    back = scene.sub("-t", "s/#", *durable, version=version)
    back.wait_count(2)
    scene.pub("-t", "s/9", "-m", "live", "-q", "1", version=version)
    back.expect("s/1 away 1", "s/2 away 2", "s/9 live 1")
    _check_all_first_deliveries(back)


@case_for("mosquitto/v{version}/resumes_without_subscribing", version=VERSIONS)
def resumes_without_subscribing(scene: Scene, version: str):
    """The old subscription counts although the client now names another filter only."""
    durable = (*DURABLE[version], "-i", "panel", "-q", "1", "-F", "%t")
    scene.sub("-t", "old", *durable, version=version).stop()
    back = scene.sub("-t", "new", *durable, version=version)
    for topic in ("old", "new"):
        scene.pub("-t", topic, "-m", "x", "-q", "1", version=version)
    back.expect("old", "new")


@case_for("mosquitto/v{version}/clean_start_forgets", version=VERSIONS)
def clean_start_forgets(scene: Scene, version: str):
    """A clean start drops subscriptions and queue of the session before."""
    durable = (*DURABLE[version], "-i", "panel", "-q", "1", "-F", "%t")
    scene.sub("-t", "old", *durable, version=version).stop()
    scene.pub("-t", "old", "-m", "x", "-q", "1", version=version)
    fresh = scene.sub("-t", "new", "-i", "panel", "-q", "1", "-F", "%t", version=version)
    for topic in ("old", "new"):
        scene.pub("-t", topic, "-m", "x", "-q", "1", version=version)
    fresh.expect("new")


@case_for("mosquitto/v{version}/many_queued", version=VERSIONS)
def many_queued(scene: Scene, version: str):
    """500 queued messages, many more than fit into one window, arrive in order."""
    durable = (*DURABLE[version], "-i", "panel", "-q", "2", "-F", "%p")
    scene.sub("-t", "s", *durable, version=version).stop()
    lines = [f"{number}" for number in range(500)]
    scene.pub("-t", "s", "-l", "-q", "2", version=version, stdin="\n".join(lines).encode() + b"\n")
    scene.sub("-t", "s", *durable, version=version).expect(*lines)


@case_for("mosquitto/v{version}/killed_session_goes_on", version=VERSIONS)
def killed_session_goes_on(scene: Scene, version: str):
    """A session survives `kill -9` of its client; nothing published meanwhile is lost or doubled."""
    durable = (*DURABLE[version], "-i", "panel", "-q", "2", "-F", "%p")
    scene.sub("-t", "s", *durable, version=version).kill()
    scene.pub("-t", "s", "-m", "while dead", "-q", "2", version=version)
    scene.sub("-t", "s", *durable, version=version).expect("while dead")


@case("mosquitto/v5/session_expiry")
def session_expiry(scene: Scene):
    """A session ends when its expiry interval is over, and not before."""
    short = ("-c", "-x", "1", "-i", "short", "-q", "1", "-F", "%p")
    long = ("-c", "-x", "60", "-i", "long", "-q", "1", "-F", "%p")
    scene.sub("-t", "s", *short).stop()
    scene.sub("-t", "s", *long).stop()
    scene.sub("-t", "clock", "-W", "3").finish()
    scene.pub("-t", "s", "-m", "after two seconds", "-q", "1")
    scene.sub("-t", "s", *short).expect()
    scene.sub("-t", "s", *long).expect("after two seconds")


@case("mosquitto/v5/expiry_shortened_by_disconnect")
def expiry_shortened_by_disconnect(scene: Scene):
    """DISCONNECT with a session expiry of 0 ends a session that was to live an hour."""
    durable = ("-c", "-x", "3600", "-i", "panel", "-q", "1", "-F", "%p")
    scene.sub("-t", "s", *durable, "-D", "disconnect", "session-expiry-interval", "0").stop()
    scene.pub("-t", "s", "-m", "lost", "-q", "1")
    scene.sub("-t", "s", *durable).expect()


@case("mosquitto/v5/offline_queue_keeps_properties")
def offline_queue_keeps_properties(scene: Scene):
    """Subscription identifier, properties and the retain flag (RAP) survive the queue."""
    durable = ("-c", "-x", "3600", "-i", "panel", "-q", "1", "-t", "s", "--retain-as-published", "-D", "subscribe",
               "subscription-identifier", "42", "-F", "%p|%r|%S|%C|%P")
    scene.sub(*durable).stop()
    scene.pub("-t", "s", "-m", "away", "-q", "1", "-r", "-D", "publish", "content-type", "text/plain",
              "-D", "publish", "user-property", "a", "1", "-D", "publish", "user-property", "b", "2")
    # Without a new SUBSCRIBE to s, or the retained message would come a second time.
    back = scene.sub("-c", "-x", "3600", "-i", "panel", "-t", "other", "-F", "%p|%r|%S|%C|%P")
    back.expect("away|1|42|text/plain|a:1 b:2")


@case("mosquitto/v5/message_expiry")
def message_expiry(scene: Scene):
    """A queued message that expires does not arrive; another arrives with the seconds it has left."""
    durable = ("-c", "-x", "3600", "-i", "panel", "-q", "1", "-F", "%p %E")
    scene.sub("-t", "s", *durable).stop()
    scene.pub("-t", "s", "-m", "short", "-q", "1", "-D", "publish", "message-expiry-interval", "1")
    scene.pub("-t", "s", "-m", "long", "-q", "1", "-D", "publish", "message-expiry-interval", "60")
    scene.pub("-t", "s", "-m", "forever", "-q", "1")
    scene.sub("-t", "clock", "-W", "2").finish()
    messages = scene.sub("-t", "s", *durable).wait_count(2)
    payload, left = messages[0].split()
    check_equal(payload, "long", "first message")
    check(50 <= int(left) <= 58, f"{left} s left of 60 after two seconds")
    check_equal(messages[1].strip(), "forever", "second message")


@case("mosquitto/v5/retained_expiry")
def retained_expiry(scene: Scene):
    """A retained message expires too, and counts down until then."""
    for payload, seconds in (("short", "1"), ("long", "60")):
        scene.pub("-t", f"r/{payload}", "-m", payload, "-r", "-q", "1",
                  "-D", "publish", "message-expiry-interval", seconds)
    scene.sub("-t", "clock", "-W", "2").finish()
    late = scene.sub("-t", "r/#", "-F", "%p %E")
    payload, left = late.wait_count(1)[0].split()
    late.stays_quiet()
    check_equal((payload, len(late.messages)), ("long", 1), "what is still retained")
    check(50 <= int(left) <= 58, f"{left} s left of 60 after two seconds")


def _check_all_first_deliveries(sub) -> None:
    flags = [line for line in sub.out if "received PUBLISH (d1" in line]
    check_equal(flags, [], "deliveries flagged DUP that are first ones")
