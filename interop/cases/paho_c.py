"""paho_c_pub and paho_c_sub, the programs of the Paho library for C."""

import time

from suite.case import VERSIONS, case, case_for, check, check_equal
from suite.program import Program
from suite.scene import QUIET_SECONDS, Scene


class PahoSubscriber(Program):
    """paho_c_sub with a wildcard in its filter, so that it prints `LENGTH TOPIC<tab>PAYLOAD`."""

    name = "paho_c_sub"

    def messages(self) -> list[str]:
        return [line.split(" ", 1)[1] for line in self.out if "\t" in line]

    def expect(self, *messages: str) -> None:
        """These messages and no others have arrived, in this order."""
        self.wait_until(lambda: len(self.messages()) >= len(messages), f"message number {len(messages)}")
        time.sleep(QUIET_SECONDS)
        check_equal(self.messages(), list(messages), "messages")


def subscribe(scene: Scene, topic: str, *arguments, version: str, url: str | None = None) -> PahoSubscriber:
    """Starts paho_c_sub and returns when its subscription is acknowledged."""
    sub = scene.start("stdbuf", "-oL", scene.peers.tool("paho_c_sub"), "-c", url or f"tcp://127.0.0.1:{scene.port}",
                      "-V", version, "--trace", "protocol", "-t", topic, *arguments, program=PahoSubscriber)
    sub.wait_line("<- SUBACK")
    return sub


def publish(scene: Scene, topic: str, *arguments, version: str) -> None:
    """Runs paho_c_pub for one message."""
    done = scene.run(scene.peers.tool("paho_c_pub"), "-h", "127.0.0.1", "-p", scene.port, "-V", version,
                     "-t", topic, *arguments)
    check_equal(done.code, 0, "exit code of paho_c_pub")


@case_for("paho_c/v{version}/qos", version=VERSIONS)
def qos(scene: Scene, version: str):
    """Every QoS reaches paho_c_sub and mosquitto_sub with the QoS it was sent with."""
    sub = subscribe(scene, "c/#", "-q", "2", version=version)
    other = scene.sub("-t", "c/#", "-q", "2", "-F", "%p %q", version=version)
    for level in "012":
        publish(scene, "c/1", "-q", level, "-m", f"sent {level}", version=version)
    sub.expect(*(f"c/1\tsent {level}" for level in "012"))
    other.expect(*(f"sent {level} {level}" for level in "012"))


def hear_lines(scene: Scene, version: str, count: int, url: str | None = None) -> None:
    """paho_c_sub gets so many messages of mosquitto_pub in order, in every QoS it asks for."""
    subs = [subscribe(scene, "c/#", "-q", level, "-i", f"sub-{level}", version=version, url=url) for level in "012"]
    lines = [f"line {number}" for number in range(count)]
    scene.pub("-t", "c/1", "-q", "2", "-l", version=version, stdin="\n".join(lines).encode() + b"\n")
    for sub in subs:
        sub.expect(*(f"c/1\t{line}" for line in lines))


@case_for("paho_c/v{version}/from_mosquitto", version=VERSIONS)
def from_mosquitto(scene: Scene, version: str):
    """paho_c_sub gets 100 messages of mosquitto_pub in order, in every QoS it asks for."""
    hear_lines(scene, version, 100)


@case_for("paho_c/v{version}/websocket", version=VERSIONS)
def websocket(scene: Scene, version: str):
    """A burst reaches paho_c_sub over WebSocket, where it takes one packet of a frame."""
    hear_lines(scene, version, 400, scene.broker.websocket("ws"))


@case_for("paho_c/v{version}/retained", version=VERSIONS)
def retained(scene: Scene, version: str):
    """A retained message of paho_c_pub is kept, replaced and cleared."""
    publish(scene, "c/1", "-r", "-q", "1", "-m", "first", version=version)
    publish(scene, "c/1", "-r", "-q", "2", "-m", "second", version=version)
    subscribe(scene, "c/#", "-q", "2", "-i", "sees", version=version).expect("c/1\tsecond")
    publish(scene, "c/1", "-r", "-q", "1", "-n", version=version)
    subscribe(scene, "c/#", "-q", "2", "-i", "sees-not", version=version).expect()


@case_for("paho_c/v{version}/will", version=VERSIONS)
def will(scene: Scene, version: str):
    """`kill -9` of paho_c_sub publishes its will."""
    watch = scene.sub("-t", "will/#", "-q", "2", "-F", "%p %q", version=version)
    dies = subscribe(scene, "x", "--will-topic", "will/c", "--will-payload", "gone", "--will-qos", "2",
                     version=version)
    dies.kill()
    watch.expect("gone 2")


@case_for("paho_c/v{version}/large_payload", version=VERSIONS)
def large_payload(scene: Scene, version: str):
    """A file of 1 MiB arrives whole."""
    sent = scene.folder / "large"
    sent.write_text("noctule " * (128 * 1024))
    sub = subscribe(scene, "c/#", "-q", "1", version=version)
    publish(scene, "c/1", "-q", "1", "-f", sent, version=version)
    sub.wait_until(sub.messages, "the large message")
    check(sub.messages()[0] == "c/1\t" + sent.read_text(), f"{len(sub.messages()[0])} other characters arrived")


@case("paho_c/v5/properties")
def properties(scene: Scene):
    """User property and expiry of paho_c_pub arrive."""
    sub = scene.sub("-t", "c", "-q", "2", "-F", "%p|%P|%E")
    publish(scene, "c", "-q", "2", "-m", "x", "--user-property", "site", "north", "--message-expiry", "600",
            version="5")
    payload, pairs, seconds = sub.wait_count(1)[0].split("|")
    check_equal((payload, pairs), ("x", "site:north"), "payload and user property")
    check(590 <= int(seconds) <= 600, f"{seconds} s left of 600")
