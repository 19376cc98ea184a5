"""Answers for those who ask through httpx.MockTransport, and a server that gives one answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


def streamed(answer: httpx.Response) -> httpx.Response:
    """As it comes from a server, of which nothing is read yet."""
    body = httpx.ByteStream(answer.content)
    return httpx.Response(answer.status_code, headers=answer.headers, stream=body)


class OneAnswer:
    """What a server says to whoever asks it, whatever is asked."""

    def __init__(self) -> None:
        self.port = 0
        self.status = 200
        self.body = b""
        self.location = ""  # where a redirect leads


@contextmanager
def one_answer() -> Iterator[OneAnswer]:
    """A server on this machine that says it."""
    said = OneAnswer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # picows takes no other for the answer to an upgrade

        def do_GET(self) -> None:
            self.send_response(said.status)
            if said.location:
                self.send_header("Location", said.location)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    said.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield said
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
