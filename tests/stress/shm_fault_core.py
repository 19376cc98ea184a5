"""Python over the fault build of the core: what a caller of the API sees.

Usage: shm_fault_core.py FOLDER NAMESPACE contended|deaths|funding|books|levels. FOLDER holds the
extension modules _store, _writer, _latches and _level_tape built with -DSS_FAULTS; they take the
place of the room's own before anything imports those. Each has hooks of its own.
"""

import ctypes
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np


class FaultCore(importlib.abc.MetaPathFinder):
    """Finds the fault build where the room's own modules are asked for."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self.paths = paths

    def find_spec(self, fullname: str, *_rest: object) -> importlib.machinery.ModuleSpec | None:
        room, _, module = fullname.rpartition(".")
        if room != "spread_scanner.shm" or module not in self.paths:
            return None
        return importlib.util.spec_from_file_location(fullname, self.paths[module])


def load(folder: Path) -> dict[str, ctypes.CDLL]:
    """Put the fault build in its place; the controls of each module's hooks."""
    paths = {path.name.split(".")[0]: path for path in folder.glob("*.so")}
    sys.meta_path.insert(0, FaultCore(paths))
    return {module: ctypes.CDLL(str(path)) for module, path in paths.items()}


def contended(controls: ctypes.CDLL, namespace: str) -> None:
    from spread_scanner.schema.enums import QuoteFlag
    from spread_scanner.shm import PriceStore, _store

    with PriceStore.create(namespace, num_sources=2, max_symbols=3) as store:
        writer = store.writer(1)
        writer.write(2, 100.0, 1.0, 101.0, 2.0, 5, 6, 7)
        entry = store.layout.sequences_at + (1 * 3 + 2) * 64
        address = writer.view.memory.address + entry
        fresh = PriceStore.attach(namespace)

        def read_contended(reader: PriceStore) -> object:
            controls.faults_publish(ctypes.c_uint64(address), ctypes.c_long(10_000))
            try:
                return reader.read(1, 2)
            finally:
                controls.faults_publish(ctypes.c_uint64(address), ctypes.c_long(0))

        never = read_contended(fresh)
        assert isinstance(never, _store.Quote)
        assert np.isnan(never.bid_px)
        assert never.flags & QuoteFlag.CONTENDED
        assert never.flags & QuoteFlag.STALE  # it has no last good one: nothing to stand behind

        good = fresh.read(1, 2)
        assert good is not None
        assert good.flags == 0
        again = read_contended(fresh)
        assert isinstance(again, _store.Quote)
        assert tuple(again)[:7] == tuple(good)[:7]
        assert again.flags == QuoteFlag.CONTENDED
        assert fresh.contended == 2

        controls.faults_publish(ctypes.c_uint64(address), ctypes.c_long(62))
        last_try = fresh.read(1, 2)
        assert last_try is not None
        assert last_try.flags == 0
        assert fresh.contended == 2

        writer.close()
        with store.writer(1):  # a successor: what it has not written is stale, contended or not
            stale = read_contended(fresh)
            assert isinstance(stale, _store.Quote)
            assert stale.flags == QuoteFlag.CONTENDED | QuoteFlag.STALE
        fresh.close()
    print("contended ok")


def strike(controls: ctypes.CDLL, at: int, act: Callable[[], object]) -> bool:
    """Act in a forked child that dies before store `at`; whether it died."""
    pid = os.fork()
    if pid == 0:
        controls.faults_arm(ctypes.c_long(at))
        act()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 137), code
    return code == 137


def deaths(controls: ctypes.CDLL, namespace: str) -> None:
    """write_many dies at every store; readers and successors find order."""
    from spread_scanner.schema.records import QUOTE_DTYPE
    from spread_scanner.shm import PriceStore

    symbols = np.array([0, 63, 64, 1], np.uint16)

    def quotes(version: int) -> np.ndarray:
        made = np.zeros(4, QUOTE_DTYPE)
        made["bid_px"], made["ask_px"] = version, version + 1.0
        made["bid_sz"] = made["ask_sz"] = version * 2.0
        made["ts_event"] = made["ts_recv"] = made["update_id"] = version
        return made

    with PriceStore.create(namespace, num_sources=1, max_symbols=70) as store:
        with store.writer(0) as writer:
            writer.write_many(symbols, quotes(1))
        version, at, died = 1, 0, True
        while died:
            at += 1
            version += 1

            def write(version: int = version) -> None:
                PriceStore.attach(namespace).writer(0).write_many(symbols, quotes(version))

            died = strike(controls, at, write)
            found = store.read_many(0, symbols)
            assert set(found["update_id"]) <= {version - 1, version}
            for field in ("bid_px", "ts_event", "ts_recv"):
                assert (found[field] == found["update_id"]).all()
            assert (found["ask_sz"] == found["update_id"] * 2.0).all()
            with store.writer(0) as writer:
                writer.write_many(symbols, quotes(version))
            assert set(store.read_many(0, symbols)["update_id"]) == {version}
            assert store.contended == 0
    print(f"write_many {at - 1} stores")


def funding(controls: ctypes.CDLL, namespace: str) -> None:
    """A row of funding dies at every store: it is the old one or the new one. One that is written
    at each look of a reader is nothing to it, and counted."""
    from spread_scanner.schema.funding import FundingNow
    from spread_scanner.shm.funding import FundingTable

    def row(version: int) -> FundingNow:
        number = float(version)
        return FundingNow(number, number, -number, number, version, version, *[version] * 3)

    with FundingTable.create(namespace, num_sources=1, max_symbols=2) as table:
        with table.writer() as writer:
            writer.write(0, 1, row(1))
        version, at, died = 1, 0, True
        while died:
            at, version = at + 1, version + 1

            def write(version: int = version) -> None:
                FundingTable.attach(namespace).writer().write(0, 1, row(version))

            died = strike(controls, at, write)
            assert table.read(0, 1) in (row(version - 1), row(version))
            with table.writer() as writer:  # the dead one holds nothing
                writer.write(0, 1, row(version))
            assert table.read(0, 1) == row(version)
            assert table.read(0, 0) is None
        address = table._cells.memory.address + table.layout.sequences_at + 64
        for looks, seen, given_up in ((63, row(version), 0), (10_000, None, 1)):
            controls.faults_publish(ctypes.c_uint64(address), ctypes.c_long(looks))
            assert table.read(0, 1) == seen
            assert table.contended == given_up
        assert table.snapshot()[0].tolist() == [(0,) * len(FundingNow._fields)] * 2
        assert table.contended == 2
    print(f"funding {at - 1} stores")


def books(controls: ctypes.CDLL, namespace: str) -> None:
    """A feed that follows a book dies at every store, whether it takes a slot or publishes: readers
    have the old book, the new one, or none, and never another symbol's or half of one."""
    from spread_scanner.schema.books import BOOK_DTYPE
    from spread_scanner.shm.books import BookStore

    def book(symbol_id: int, version: int) -> np.ndarray:
        record = np.zeros(1, BOOK_DTYPE)
        record["symbol_id"], record["update_id"] = symbol_id, version
        record["ts_recv"] = record["top_since_ns"] = version
        record["bid_count"] = record["ask_count"] = 20
        record["bids"], record["asks"] = version, version * 2.0
        return record

    with BookStore.create(namespace, num_sources=1, max_symbols=4, slots=1) as store:
        version, at, died = 1, 0, True
        while died:
            at, version = at + 1, version + 1

            def write(version: int = version) -> None:
                writer = BookStore.attach(namespace).writer(0)
                for symbol_id in (1, 2):  # one slot is handed on
                    writer.take(symbol_id)
                    for step in (0, 1):  # both cells
                        writer.publish(book(symbol_id, 2 * version + step))
                    if symbol_id == 1:
                        writer.release(symbol_id)

            died = strike(controls, at, write)
            for symbol_id in (1, 2):
                found = store.read(0, symbol_id)
                if found is None or not len(found.bids):
                    continue
                seen = int(found.record["update_id"])
                assert found.record["symbol_id"] == symbol_id
                assert seen // 2 == version
                assert (found.bids == seen).all()
                assert (found.asks == seen * 2.0).all()
                assert found.record["ts_recv"] == found.record["top_since_ns"] == seen
            with store.writer(0) as writer:  # the dead one holds nothing
                assert store.symbols(0) == []
                writer.take(2)
                writer.publish(book(2, 1))
            last = store.read(0, 2)
            assert last is not None
            assert last.record["update_id"] == 1
            assert store.contended == 0
        address = store.table.memory.address + store.layout.sequences_at
        controls.faults_publish(ctypes.c_uint64(address), ctypes.c_long(10_000))
        assert store.read(0, 2) is None
        assert store.contended == 1
    print(f"books {at - 1} stores")


def levels(controls: ctypes.CDLL, namespace: str) -> None:
    """A feed dies at every store while it tells what changed of a book: the tape has the first of
    these changes, each whole and in its order, and the next life goes on with the next number."""
    from spread_scanner.schema.books import BOOK_DTYPE
    from spread_scanner.shm.books import BookStore

    prices = [100.0, 99.0, 101.0, 102.0]  # as they are told: bids first

    def book(version: int) -> np.ndarray:
        record = np.zeros(1, BOOK_DTYPE)
        record["symbol_id"], record["update_id"], record["ts_recv"] = 3, version, version
        record["bid_count"] = record["ask_count"] = 2
        record["bids"][0, :2, 0], record["asks"][0, :2, 0] = prices[:2], prices[2:]
        record["bids"][0, :2, 1] = record["asks"][0, :2, 1] = version
        return record

    sizes = {"num_sources": 1, "max_symbols": 4, "slots": 1, "tape_slots": 64}
    with BookStore.create(namespace, **sizes) as store, store.tape_reader(0) as tape:
        tape.record()
        version, at, told, died = 1, 0, 0, True

        def popped() -> int:
            nonlocal told
            found = tape.pop_many(64)
            assert found["number"].tolist() == list(range(told, told + len(found)))
            assert found["px"].tolist() == prices[: len(found)]
            for field in ("sz", "update_id", "ts_recv"):
                assert (found[field] == version).all()
            assert (found["symbol_id"] == 3).all()
            told += len(found)
            return len(found)

        while died:
            at, version = at + 1, version + 1

            def tell(version: int = version) -> None:
                writer = BookStore.attach(namespace).writer(0)
                writer.tape.tell(book(version - 1), book(version))

            died = strike(controls, at, tell)
            assert popped() == len(prices) or died
            version += 1
            with store.writer(0) as writer:
                writer.tape.tell(book(version - 1), book(version))
            assert popped() == len(prices)
        assert store.tape_counters(0).dropped == 0
    print(f"levels {at - 1} stores")


SCENARIOS = {
    "contended": (contended, "_store"),
    "deaths": (deaths, "_writer"),
    "books": (books, "_latches"),
    "levels": (levels, "_level_tape"),
    "funding": (funding, "_latches"),
}

if __name__ == "__main__":
    run, hooked = SCENARIOS[sys.argv[3]]
    run(load(Path(sys.argv[1]))[hooked], sys.argv[2])
