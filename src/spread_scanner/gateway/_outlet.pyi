from picows import WSTransport

class Outlet:
    frames: int
    bytes_told: int
    def take(self, frame: bytes, packed: bool) -> None: ...

class SocketOutlet(Outlet):
    def __init__(self, transport: WSTransport) -> None: ...

def send_out(outlets: list[Outlet], frame: bytes, packed: bool) -> None: ...
