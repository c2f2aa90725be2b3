"""Node-RED without a browser: its hello world, and the same with QoS 2, retained and a will.

The flow is posted to Node-RED's HTTP interface, the button of its inject node is pressed there too,
and the debug node writes what it hears to the log, which is where the cases look.
"""

import json
import re
import urllib.error
import urllib.request

from suite.broker import free_port
from suite.case import case, case_for, check, check_equal
from suite.program import Program
from suite.scene import Scene

START_SECONDS = 60.0
HTTP_SECONDS = 10.0
# Node-RED takes a node that has no place on the page for one that configures others.
ON_THE_PAGE = {"z": "tab", "x": 0, "y": 0}
PROTOCOLS = {"311": "4", "5": "5"}

SETTINGS = """\
module.exports = {{
  uiHost: '127.0.0.1', uiPort: {port}, disableEditor: true, flowFile: 'flows.json', credentialSecret: false,
  telemetry: {{ enabled: false, updateNotification: false }},
  externalModules: {{ autoInstall: false, palette: {{ allowInstall: false }}, modules: {{ allowInstall: false }} }},
  logging: {{ console: {{ level: 'info' }} }},
}};
"""


class NodeRed:
    """A running Node-RED with a folder and a port of its own."""

    def __init__(self, program: Program, port: int):
        self.program = program
        self.port = port

    @classmethod
    def start(cls, scene: Scene) -> "NodeRed":
        """Starts it and returns when it takes flows."""
        folder = scene.folder / "node-red"
        folder.mkdir()
        port = free_port()
        (folder / "settings.js").write_text(SETTINGS.format(port=port))
        program = scene.start(scene.peers.tool("node"), scene.peers.node_modules / "node-red" / "red.js",
                              "--userDir", folder, "--settings", folder / "settings.js", cwd=folder)
        program.wait_line("Started flows", START_SECONDS)
        return cls(program, port)

    def deploy(self, flow: list[dict]) -> None:
        """Replaces the flow, as the editor's Deploy button does, and waits for the broker's CONNACK."""
        before = self._connections()
        check_equal(self._post("/flows", flow), 204, "status of POST /flows")
        self.program.wait_until(lambda: self._connections() > before, "a connection to the broker")

    def inject(self, node: str) -> None:
        """Presses the button of an inject node."""
        check_equal(self._post(f"/inject/{node}", {}), 200, "status of POST /inject")

    def heard(self, count: int = 1) -> list[str]:
        """Waits until the debug node has written this many messages; returns each as it was written."""
        self.program.wait_until(lambda: len(self._debug()) >= count, f"message number {count} of the debug node")
        return self._debug()

    def _debug(self) -> list[str]:
        parts = re.split(r"^.*\[debug:ear\].*$", "\n".join(self.program.out), flags=re.MULTILINE)[1:]
        return [part for part in parts if "_msgid" in part]

    def _connections(self) -> int:
        return sum("Connected to broker" in line for line in self.program.out)

    def _post(self, path: str, body) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code


def flow(scene: Scene, *, version: str = "5", qos: int = 1, retain: bool = False, **broker_settings) -> list[dict]:
    """The hello world: inject, mqtt out; mqtt in, debug."""
    return [
        {"id": "tab", "type": "tab", "label": "hello"},
        {"id": "broker", "type": "mqtt-broker", "name": "noctule", "broker": "127.0.0.1", "port": str(scene.port),
         "clientid": "node-red", "autoConnect": True, "usetls": False, "protocolVersion": PROTOCOLS[version],
         "keepalive": "60", "cleansession": True, "autoUnsubscribe": True, **broker_settings},
        {"id": "press", "type": "inject", **ON_THE_PAGE, "props": [{"p": "payload"}], "repeat": "", "once": False,
         "payload": "hello world", "payloadType": "str", "wires": [["out"]]},
        {"id": "out", "type": "mqtt out", **ON_THE_PAGE, "topic": "hello/world", "qos": str(qos),
         "retain": str(retain).lower(), "broker": "broker", "wires": []},
        *listen(qos),
    ]


def listen(qos: int) -> list[dict]:
    """The half of the flow that hears."""
    return [
        {"id": "in", "type": "mqtt in", **ON_THE_PAGE, "topic": "hello/#", "qos": str(qos), "datatype": "utf8",
         "broker": "broker", "nl": False, "rap": True, "rh": 0, "inputs": 0, "wires": [["heard"]]},
        {"id": "heard", "type": "debug", **ON_THE_PAGE, "name": "ear", "active": True, "tosidebar": False,
         "console": True, "complete": "true", "targetType": "full", "wires": []},
    ]


def check_heard(message: str, qos: int, retain: bool) -> None:
    """The debug node wrote this message."""
    for part in ("topic: 'hello/world'", "payload: 'hello world'", f"qos: {qos}", f"retain: {str(retain).lower()}"):
        check(part in message, f"the debug node wrote no {part!r}: {' '.join(message.split())}")


@case_for("node_red/v{version}/hello_world/q{qos}", version=PROTOCOLS, qos=(0, 1, 2))
def hello_world(scene: Scene, version: str, qos: int):
    """Press the button: the debug node hears it through the broker, and so does mosquitto_sub."""
    sub = scene.sub("-t", "hello/#", "-q", "2", "-F", "%t %p %q")
    node_red = NodeRed.start(scene)
    node_red.deploy(flow(scene, version=version, qos=qos))
    for count in (1, 2):
        node_red.inject("press")
        check_heard(node_red.heard(count)[count - 1], qos, retain=False)
    sub.expect(*[f"hello/world hello world {qos}"] * 2)


@case("node_red/retained")
def retained(scene: Scene):
    """What Node-RED published retained is there for its next flow."""
    node_red = NodeRed.start(scene)
    node_red.deploy(flow(scene, retain=True))
    node_red.inject("press")
    node_red.heard(1)
    node_red.deploy([{**node, "clientid": "later"} if node["id"] == "broker" else node for node in flow(scene)])
    check_heard(node_red.heard(2)[1], 1, retain=True)
    scene.sub("-t", "hello/#", "-q", "1", "-F", "%t %p %r").expect("hello/world hello world 1")


@case_for("node_red/v{version}/will", version=PROTOCOLS)
def will(scene: Scene, version: str):
    """`kill -9` of Node-RED publishes the will of its broker node; a Deploy says goodbye instead."""
    watch = scene.sub("-t", "state/#", "-q", "2", "-F", "%t %p %q %r")
    last_words = {
        "birthTopic": "state/node-red", "birthPayload": "born", "birthQos": "1", "birthRetain": "false",
        "closeTopic": "state/node-red", "closePayload": "closed", "closeQos": "1", "closeRetain": "false",
        "willTopic": "state/node-red", "willPayload": "died", "willQos": "2", "willRetain": "true",
    }
    node_red = NodeRed.start(scene)
    node_red.deploy(flow(scene, version=version, **last_words))
    watch.wait_count(1)
    node_red.deploy(flow(scene, version=version, **last_words, name="changed"))
    watch.wait_count(3)
    node_red.program.kill()
    watch.expect("state/node-red born 1 0", "state/node-red closed 1 0", "state/node-red born 1 0",
                 "state/node-red died 2 0")
    scene.sub("-t", "state/#", "-F", "%t %p %r").expect("state/node-red died 1")
