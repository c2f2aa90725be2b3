"""Cases for gmqtt, which has a codec of its own for MQTT 5.0."""

import asyncio
import time

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

from suite.case import CaseFailed, case, case_for, check, check_equal
from suite.client_program import main

WAIT_SECONDS = 15.0
QUIET_SECONDS = 0.4
VERSIONS = {"311": MQTTv311, "5": MQTTv50}


class Peer:
    """A gmqtt client that never reconnects by itself and remembers what arrived."""

    def __init__(self, port: int, client_id: str, version: str = "5", **options):
        self.port = port
        self.version = version
        self.messages: list[tuple[str, str, int, dict]] = []
        self.session_present = False
        self._subacks: asyncio.Queue = asyncio.Queue()
        self.client = gmqtt.Client(client_id, **options)
        self.client.set_config({"reconnect_retries": 0})
        self.client.on_message = self._on_message
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda _client, _mid, codes, _properties: self._subacks.put_nowait(list(codes))

    async def connect(self) -> "Peer":
        connecting = self.client.connect("127.0.0.1", self.port, version=VERSIONS[self.version])
        await asyncio.wait_for(connecting, WAIT_SECONDS)
        return self

    async def subscribe(self, *filters: gmqtt.Subscription, **properties) -> list[int]:
        """Subscribes and returns the codes of the SUBACK."""
        self.client.subscribe(list(filters), **properties)
        return await asyncio.wait_for(self._subacks.get(), WAIT_SECONDS)

    async def wait_count(self, count: int) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while len(self.messages) < count:
            check(time.monotonic() < deadline, f"{len(self.messages)} of {count} messages arrived")
            await asyncio.sleep(0.01)

    async def expect(self, *payloads: str) -> list[dict]:
        """These payloads and no others have arrived; returns their properties."""
        await self.wait_count(len(payloads))
        await asyncio.sleep(QUIET_SECONDS)
        check_equal([payload for _, payload, _, _ in self.messages], list(payloads), "payloads")
        return [properties for _, _, _, properties in self.messages]

    def cut(self) -> None:
        """Breaks the connection without a DISCONNECT."""
        self.client._connection._transport.abort()

    def _on_connect(self, _client, flags, _code, _properties) -> None:
        self.session_present = bool(flags)

    def _on_message(self, _client, topic, payload, qos, properties) -> int:
        self.messages.append((topic, payload.decode(), qos, properties))
        return 0


def asynchronous(body):
    """Runs the coroutine of a case to its end."""

    def run(*arguments, **parameters):
        try:
            asyncio.run(body(*arguments, **parameters))
        except TimeoutError as late:
            raise CaseFailed(f"no answer within {WAIT_SECONDS:g} s") from late

    return run


def to(topic: str, qos: int = 1, **options) -> gmqtt.Subscription:
    return gmqtt.Subscription(topic, qos=qos, **options)


@case_for("v{version}/round_trip", version=VERSIONS)
@asynchronous
async def round_trip(port: int, version: str):
    """Every QoS arrives with the QoS it was sent with."""
    peer = await Peer(port, "both", version).connect()
    check_equal(await peer.subscribe(to("a/#", 2), to("b", 1)), [2, 1], "codes of SUBACK")
    for qos in (0, 1, 2):
        peer.client.publish("a/b", f"qos {qos}", qos=qos)
        await peer.wait_count(qos + 1)
    await peer.expect("qos 0", "qos 1", "qos 2")
    check_equal([qos for _, _, qos, _ in peer.messages], [0, 1, 2], "QoS")
    await peer.client.disconnect()


@case("v5/user_properties")
@asynchronous
async def user_properties(port: int):
    """User properties arrive in order and with repetition, the other properties as sent."""
    sub, pub = await Peer(port, "sub").connect(), await Peer(port, "pub").connect()
    await sub.subscribe(to("p", 2))
    for qos in (0, 1, 2):
        pub.client.publish("p", "x", qos=qos, user_property=[("b", "1"), ("a", "2"), ("b", "3")], content_type="json",
                           response_topic="r", correlation_data=b"c", message_expiry_interval=100,
                           payload_format_id=1)
        await sub.wait_count(qos + 1)
    for properties in await sub.expect("x", "x", "x"):
        check_equal(properties["user_property"], [("b", "1"), ("a", "2"), ("b", "3")], "user properties")
        check_equal((properties["content_type"], properties["response_topic"], properties["correlation_data"]),
                    (["json"], ["r"], [b"c"]), "other properties")
        check(95 <= properties["message_expiry_interval"][0] <= 100, "the expiry is wrong")


@case("v5/subscription_identifiers")
@asynchronous
async def subscription_identifiers(port: int):
    """Each subscription's identifier comes with its messages, retained and live."""
    peer = await Peer(port, "both").connect()
    peer.client.publish("kept", "retained", qos=1, retain=True)
    await peer.subscribe(to("live", 2), subscription_identifier=1)
    await peer.subscribe(to("kept", 2), subscription_identifier=200_000)
    await peer.wait_count(1)
    peer.client.publish("live", "now", qos=1)
    properties = await peer.expect("retained", "now")
    check_equal([found["subscription_identifier"] for found in properties], [[200_000], [1]], "identifiers")


@case("v5/shared_subscription")
@asynchronous
async def shared_subscription(port: int):
    """Three members share; each message once, each member some."""
    members = [await Peer(port, f"member-{number}").connect() for number in range(3)]
    for member in members:
        check_equal(await member.subscribe(to("$share/group/job/#")), [1], "codes of SUBACK")
    pub = await Peer(port, "pub").connect()
    jobs = [str(number) for number in range(30)]
    for number, job in enumerate(jobs):
        pub.client.publish("job/a", job, qos=1)
        # gmqtt raises an error when more than a window of messages is open.
        await arrived_at(members, number + 1)
    await asyncio.sleep(QUIET_SECONDS)
    arrived = [[payload for _, payload, _, _ in member.messages] for member in members]
    check_equal(sorted(sum(arrived, [])), sorted(jobs), "messages of the group")
    check(all(arrived), f"a member got nothing: {[len(part) for part in arrived]}")


async def arrived_at(members: list[Peer], count: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while (arrived := sum(len(member.messages) for member in members)) < count:
        check(time.monotonic() < deadline, f"{arrived} of {count} messages arrived")
        await asyncio.sleep(0.005)


@case("v5/will_delay")
@asynchronous
async def will_delay(port: int):
    """A will waits for its delay and comes with its properties; one without a delay comes at once."""
    watch = await Peer(port, "watch").connect()
    await watch.subscribe(to("w"))
    late = gmqtt.Message("w", "late", qos=1, will_delay_interval=2, user_property=("k", "v"))
    at_once = gmqtt.Message("w", "at once", qos=1)
    for name, will in (("late", late), ("soon", at_once)):
        (await Peer(port, name, will_message=will, session_expiry_interval=60).connect()).cut()
    cut = time.monotonic()
    await watch.wait_count(2)
    check(1.5 <= time.monotonic() - cut <= 4.5, f"the delayed will came after {time.monotonic() - cut:.1f} s, not 2 s")
    properties = await watch.expect("at once", "late")
    check_equal(properties[1]["user_property"], [("k", "v")], "user property of the will")


@case("v5/session_expiry")
@asynchronous
async def session_expiry(port: int):
    """A session goes on within its expiry interval with its queue, and is gone afterwards."""
    for name, seconds in (("long", 60), ("short", 1)):
        peer = await Peer(port, name, clean_session=False, session_expiry_interval=seconds).connect()
        await peer.subscribe(to("s"))
        await peer.client.disconnect()
    pub = await Peer(port, "pub").connect()
    pub.client.publish("s", "away", qos=1)
    await asyncio.sleep(2.0)
    long = await Peer(port, "long", clean_session=False, session_expiry_interval=60).connect()
    short = await Peer(port, "short", clean_session=False, session_expiry_interval=1).connect()
    check_equal((long.session_present, short.session_present), (True, False), "session present")
    await long.expect("away")
    await short.expect()


@case("v5/subscription_options")
@asynchronous
async def subscription_options(port: int):
    """No Local, Retain As Published and Retain Handling as gmqtt writes them."""
    peer, other = await Peer(port, "peer").connect(), await Peer(port, "other").connect()
    peer.client.publish("r", "kept", qos=1, retain=True)
    await peer.subscribe(to("n", no_local=True), to("r", retain_as_published=True, retain_handling_options=2))
    peer.client.publish("n", "own", qos=1)
    other.client.publish("n", "other", qos=1)
    await peer.wait_count(1)
    other.client.publish("r", "flagged", qos=1, retain=True)
    properties = await peer.expect("other", "flagged")
    check_equal([found["retain"] for found in properties], [0, 1], "retain")


if __name__ == "__main__":
    main()
