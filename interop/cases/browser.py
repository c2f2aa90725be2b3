"""MQTT.js in a headless Chromium: a web page that connects over `ws` and `wss`.

A server of the case gives the page and takes what it has to say; see `browser/page.js`.
"""

import queue
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from suite.case import CaseFailed, case, case_for, check, check_equal
from suite.scene import Scene

PAGES = Path(__file__).resolve().parent.parent / "browser"
VISIT_SECONDS = 60.0


class PageServer(ThreadingHTTPServer):
    """Serves the page and MQTT.js on 127.0.0.1, and keeps what the page posts."""

    daemon_threads = True

    def __init__(self, mqtt_js: Path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {
            "/page.html": ("text/html", PAGES / "page.html"),
            "/page.js": ("text/javascript", PAGES / "page.js"),
            "/mqtt.min.js": ("text/javascript", mqtt_js),
        }
        self.said: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, path = self.server.files.get(self.path, (None, None))
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = path.read_bytes()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.said.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, *_arguments) -> None:
        pass


def visit(scene: Scene, url: str, host: str = "127.0.0.1") -> str:
    """Opens the page of this host, has it connect to `url`, and returns what it says of that."""
    server = PageServer(scene.peers.node_modules / "mqtt" / "dist" / "mqtt.min.js")
    try:
        chromium = scene.start(
            scene.peers.tool("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--no-proxy-server", f"--user-data-dir={scene.folder / 'chromium'}",
            f"--host-resolver-rules=MAP {host} 127.0.0.1",
            f"--ignore-certificate-errors-spki-list={scene.broker.certificate.pin}",
            f"http://{host}:{server.port}/page.html#{url}")
        return server.said.get(timeout=VISIT_SECONDS)
    except queue.Empty:
        state = "is still running" if chromium.is_running() else "has ended"
        raise CaseFailed(f"the page said nothing within {VISIT_SECONDS:g} s, and chromium {state}") from None
    finally:
        server.shutdown()
        server.server_close()


@case_for("browser/{scheme}", scheme=("ws", "wss"))
def page_talks_in_every_version(scene: Scene, scheme: str) -> None:
    """Every QoS in three versions, and payloads of every length of a frame, as they were sent."""
    check_equal(visit(scene, scene.broker.websocket(scheme)), "ok", "what the page says")


@case("browser/page_of_another_host_is_refused")
def page_of_another_host_is_refused(scene: Scene) -> None:
    """A page that its reader has come to by accident does not reach a broker on the reader's machine."""
    said = visit(scene, scene.broker.websocket("ws"), "elsewhere.example")
    check(said != "ok", "the page was let in")
    scene.broker.program.wait_line("elsewhere.example")
