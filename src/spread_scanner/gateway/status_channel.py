"""The record of /health as it is pushed: when somebody comes, and when it was looked at anew."""

from collections.abc import Callable

from spread_scanner.gateway.channels import Channel, Client, Frame, frame_of
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.wishes import PushWish


class Statuses(Channel):
    """Everybody is told the same; who reads nothing is told the next."""

    kind = "status"

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._clients: dict[Client, None] = {}
        self._told = system.status

    def prepared(self, wish: PushWish) -> Callable[[Client], None]:
        def join(client: Client) -> None:
            self._clients[client] = None

        return join

    def leave(self, client: Client) -> None:
        self._clients.pop(client, None)

    def snapshot(self, client: Client) -> None:
        if not client.stuck_ns:
            client.tell(self._frame())

    def tick(self, now_ns: int) -> None:
        if self._told is not self._system.status:
            self._told = self._system.status
            frame = self._frame() if self._clients else None
            for client in self._clients:
                if frame is not None and not client.stuck_ns:
                    client.tell(frame)

    def renew(self) -> None:
        for client in self._clients:
            self.snapshot(client)

    def _frame(self) -> Frame:
        return frame_of({"type": "status", "status": self._system.served()})
