"""Cases for aiomqtt: asynchronous loops over messages, in 3.1.1 and 5.0."""

import asyncio

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from suite.case import CaseFailed, case, case_for, check_equal
from suite.client_program import main

WAIT_SECONDS = 15.0
VERSIONS = {"311": aiomqtt.ProtocolVersion.V311, "5": aiomqtt.ProtocolVersion.V5}


def asynchronous(body):
    """Runs the coroutine of a case to its end."""

    def run(*arguments, **parameters):
        try:
            asyncio.run(asyncio.wait_for(body(*arguments, **parameters), 3 * WAIT_SECONDS))
        except TimeoutError as late:
            raise CaseFailed("the loop did not come to its end") from late

    return run


def client(port: int, version: str = "5", **options) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", port, protocol=VERSIONS[version], timeout=WAIT_SECONDS, **options)


async def take(source: aiomqtt.Client, count: int) -> list[aiomqtt.Message]:
    """The next messages from the client's loop."""
    taken: list[aiomqtt.Message] = []
    while len(taken) < count:
        taken.append(await asyncio.wait_for(anext(source.messages), WAIT_SECONDS))
    return taken


@case_for("v{version}/message_loop", version=VERSIONS)
@asynchronous
async def message_loop(port: int, version: str):
    """A loop over messages sees 300 of them in order while three tasks publish."""
    async with client(port, version) as sub, client(port, version) as pub:
        await sub.subscribe("loop/#", qos=1)

        async def publish(name: str) -> None:
            for number in range(100):
                await pub.publish(f"loop/{name}", f"{number}", qos=1)

        async with asyncio.TaskGroup() as tasks:
            for name in "abc":
                tasks.create_task(publish(name))
            messages = await take(sub, 300)
        for name in "abc":
            numbers = [int(message.payload) for message in messages if message.topic.matches(f"loop/{name}")]
            check_equal(numbers, list(range(100)), f"messages of {name}")


@case_for("v{version}/qos2", version=VERSIONS)
@asynchronous
async def qos2(port: int, version: str):
    """50 messages of QoS 2 published at the same time arrive once each."""
    async with client(port, version) as peer:
        await peer.subscribe("s", qos=2)
        await asyncio.gather(*(peer.publish("s", f"{number}", qos=2) for number in range(50)))
        numbers = [int(message.payload) for message in await take(peer, 50)]
        check_equal(sorted(numbers), list(range(50)), "messages")


@case_for("v{version}/will", version=VERSIONS)
@asynchronous
async def will(port: int, version: str):
    """A client whose connection breaks leaves its will; one that leaves its block does not."""
    async with client(port, version) as watch:
        await watch.subscribe("will/#", qos=1)
        async with client(port, version, will=aiomqtt.Will("will/a", "left", qos=1)):
            pass
        broken = client(port, version, will=aiomqtt.Will("will/a", "broken", qos=1))
        await broken.__aenter__()
        broken._client.socket().shutdown(2)
        message, = await take(watch, 1)
        check_equal(message.payload, b"broken", "will")


@case("v311/durable_session")
@asynchronous
async def durable_session(port: int):
    """A durable session is filled while its client is away."""
    durable = {"identifier": "panel", "clean_session": False}
    async with client(port, "311", **durable) as sub:
        await sub.subscribe("s", qos=1)
    async with client(port, "311") as pub:
        for number in range(30):
            await pub.publish("s", f"{number}", qos=1)
    async with client(port, "311", **durable) as sub:
        numbers = [int(message.payload) for message in await take(sub, 30)]
        check_equal(numbers, list(range(30)), "queued messages")


@case("v5/properties")
@asynchronous
async def properties(port: int):
    """Properties go there and back."""
    values = Properties(PacketTypes.PUBLISH)
    values.UserProperty = [("b", "1"), ("a", "2")]
    values.ContentType = "text/plain"
    async with client(port) as peer:
        await peer.subscribe("p", qos=2)
        await peer.publish("p", "x", qos=2, properties=values)
        message, = await take(peer, 1)
        check_equal((message.properties.UserProperty, message.properties.ContentType),
                    ([("b", "1"), ("a", "2")], "text/plain"), "properties")


if __name__ == "__main__":
    main()
