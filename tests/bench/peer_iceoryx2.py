"""Peer of handoff.spin: the same ping-pong over iceoryx2's Python binding; prints halves in ns."""

import ctypes
import json
import os
import sys
import time

import iceoryx2 as iox2


class Ping(ctypes.Structure):
    """The same 64 bytes as a quote."""

    _fields_ = (
        ("prices", ctypes.c_double * 4),
        ("ts_event", ctypes.c_int64),
        ("ts_recv", ctypes.c_int64),
        ("update_id", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


def ports(node: object, to: str, back: str) -> tuple[object, object]:
    def service(name: str) -> object:
        builder = node.service_builder(iox2.ServiceName.new(name))  # type: ignore[attr-defined]
        return builder.publish_subscribe(Ping).open_or_create()

    publisher = service(to).publisher_builder().create()  # type: ignore[attr-defined]
    subscriber = service(back).subscriber_builder().create()  # type: ignore[attr-defined]
    return publisher, subscriber


def main(turns: int) -> None:
    iox2.set_log_level(iox2.LogLevel.Error)
    name = f"spread-bench-{os.getpid()}"
    child = os.fork()
    node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
    ping, pong = f"{name}/ping", f"{name}/pong"
    publisher, subscriber = ports(node, *((ping, pong) if child else (pong, ping)))
    halves = []
    message = Ping()
    if child:
        time.sleep(0.5)
    for turn in range(1, turns + 1):
        start = time.perf_counter_ns()
        if child:
            message.update_id = turn
            publisher.send_copy(message)  # type: ignore[attr-defined]
        while True:
            sample = subscriber.receive()  # type: ignore[attr-defined]
            if sample is not None:
                break
        if sample.payload().contents.update_id != turn:
            raise RuntimeError(f"turn {turn} came as {sample.payload().contents.update_id}")
        if not child:
            message.update_id = turn
            publisher.send_copy(message)  # type: ignore[attr-defined]
        halves.append((time.perf_counter_ns() - start) / 2)
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    print(json.dumps(halves))


main(int(sys.argv[1]))
