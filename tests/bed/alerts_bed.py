"""Whom alerts are sent to in tests, a web server on this machine; and what they are about: the
conditions of a system that has segments and files, but no processes."""

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from spread_scanner.alerts.conditions import Conditions
from spread_scanner.config import Settings
from spread_scanner.view import status


class Target:
    """A local HTTP server that keeps what it was sent and answers what it is told to."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, object]]] = []
        self.asked: list[tuple[str, str]] = []  # method and path, whatever was answered
        self.status = 200
        self.body: Iterable[bytes] = ()  # of each answer, until whoever asked hangs up
        self.headers: dict[str, str] = {}
        self.hung_up = threading.Event()  # before he had all of it
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_HEAD(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if body and target.status == 200:
                    target.received.append((self.path, json.loads(body)))
                self._answer()

            def _answer(self) -> None:
                target.asked.append((self.command, self.path))
                self.send_response(target.status)
                for name, said in target.headers.items():
                    self.send_header(name, said)
                if not target.body:
                    self.send_header("Content-Length", "0")
                self.end_headers()
                try:
                    for part in target.body:
                        self.wfile.write(part)
                except OSError:
                    target.hung_up.set()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextlib.contextmanager
def conditions_of(settings: Settings) -> Iterator[Conditions]:
    """All conditions of what stands in the settings' namespace and folders."""
    with status.attached(settings.config.system.namespace) as segments:
        yield Conditions(settings, segments)
