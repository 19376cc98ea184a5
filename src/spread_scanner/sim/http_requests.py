"""HTTP/1.1 on one connection of the simulator, by h11: whole requests in, answers out."""

import asyncio
from collections.abc import Callable

import h11

from spread_scanner.sim.answers import Answer

Respond = Callable[[h11.Request, bytes], Answer | None]  # None: it is never answered


class HttpRequests:
    """What comes over `transport`; each request is answered as `respond` says. What is no HTTP ends
    the connection."""

    def __init__(self, transport: asyncio.Transport, respond: Respond) -> None:
        self._transport, self._respond = transport, respond
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None  # its body may come in a later read
        self._body = b""

    @property
    def between(self) -> bool:
        """No request is under way: what comes next may be another kind of conversation."""
        return self._http.their_state is h11.IDLE

    def receive(self, data: bytes) -> None:
        self._http.receive_data(data)
        try:
            self._take()
        except h11.RemoteProtocolError:
            self._transport.close()

    def _take(self) -> None:
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.ConnectionClosed):
                self._transport.close()
                return
            if isinstance(event, h11.Request):
                self._request, self._body = event, b""
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                answer = self._respond(self._request, self._body)
                if answer is None:
                    return
                self._answer(answer)
                if self._http.our_state is h11.MUST_CLOSE:
                    self._transport.close()
                    return
                self._http.start_next_cycle()

    def _answer(self, answer: Answer) -> None:
        headers = [*answer.headers, ("content-length", str(len(answer.body)))]
        response = h11.Response(status_code=answer.status, headers=headers)
        parts = (response, h11.Data(data=answer.body), h11.EndOfMessage())
        self._transport.write(b"".join(self._http.send(part) or b"" for part in parts))
