"""The feed's and the engine's figures beside those of an earlier commit: both trees, interleaved in
blocks.

`make bench-against COMMIT=...`. The earlier commit is checked out and built beside this one, with
its own benchmark and packages, so each tree is measured by what it came with. In each block both
run, the first one alternating; the medians of the blocks are divided. One run tells little on a
machine that others share; the ratio of neighbours does. ONLY=feed runs the feed's alone, in some
ten minutes with the build, ONLY="binance-futures bursts,slow tier" a few of them, ONLY=engine the
engine's; TREE=... is a tree of the earlier commit that is built already.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What a tree prints of itself. No floors and no peers, which are no part of the comparison and most
# of the time; fewer messages a run; nothing of it that takes its time from the clock. An earlier
# commit may lack some figures.
CHILD = """
import json, sys
sys.path.insert(0, "tests/bench")
only = sys.argv[1].split(",")
def feed():
    import bench_feed
    async def no_peer(*_):
        return 0.0
    bench_feed.feed_peers.peers_of = lambda *_: []
    bench_feed.feed_peers.run = no_peer
    bench_feed.Rig.floor_us = lambda *_, **__: 1.0
    class Sender(bench_feed.Child):
        def __exit__(self, *_):  # it would wait for those who are left out
            self._process.kill()
            self._process.join()
    bench_feed.Child = Sender
    made = bench_feed.messages
    bench_feed.messages = lambda label, count: made(label, min(count, 100_000))
    if hasattr(bench_feed, "_half_open"):
        bench_feed._half_open = lambda *_: None
    def chosen(kind, real):
        def run(rig, label, *rest, **named):
            words = "feed " + label + kind.replace("_", " ") + (" tls" if named.get("tls") else "")
            return real(rig, label, *rest, **named) if any(one in words for one in only) else None
        return run
    for kind in ("_bursts", "_slow_tier", "_one_per_read", "_latency"):
        setattr(bench_feed, kind, chosen(kind, getattr(bench_feed, kind)))
    return filter(None, bench_feed.figures(small=False))
def engine():
    import bench_engine
    stops = getattr(bench_engine, "Stops", None)
    if stops and not any(one in "engine.reload_stop engine.adopt_stop" for one in only):
        stops.figures = lambda *_: ()
    return bench_engine.figures(small=False)
def told(found):
    for one in found:
        of = one["params"]
        mode = [str(of.get(key, "")) for key in ("mode", "transport", "tier", "dirty")]
        name = " ".join(filter(None, [one["name"], *mode]))
        print(json.dumps([name, one["p50"], one["p99"]]), flush=True)
if not all(one.startswith("engine") for one in only):
    told(feed())
if any(one == "" or one.startswith("engine") for one in only):
    told(one for one in engine() if any(word in one["name"] for word in only))
"""
Found = dict[str, list[tuple[float, float]]]


def build(commit: str, folder: Path) -> Path:
    """A tree of the earlier commit that can run its own benchmarks."""
    subprocess.run(["git", "worktree", "add", "--detach", folder, commit], cwd=ROOT, check=True)
    subprocess.run(["make", "bench-venv", f"PYTHON={sys.executable}"], cwd=folder, check=True)
    return folder


def run(tree: Path, only: str, into: Found) -> None:
    done = subprocess.run(
        [tree / ".venv/bin/python", "-c", CHILD, only],
        cwd=tree,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    if not done.stdout:
        raise SystemExit(
            f"--only {only!r}: no figure of {tree} is named so, e.g. feed, engine, slow tier"
        )
    for line in done.stdout.splitlines():
        name, p50, p99 = json.loads(line)
        into[name].append((p50, p99))


def report(before: Found, now: Found) -> None:
    """The medians of the blocks, and `over` where they are beyond what is allowed: 1.15 of the
    median, 1.5 of p99 or 10 more.
    """
    print(f"{'figure':55} {'p50 before':>10} {'now':>8} {'ratio':>6} {'p99 before':>10} {'now':>8}")
    for name, rows in now.items():
        if name not in before:
            continue
        old50, old99 = (statistics.median(column) for column in zip(*before[name], strict=True))
        new50, new99 = (statistics.median(column) for column in zip(*rows, strict=True))
        over = new50 > 1.15 * old50 or new99 > max(1.5 * old99, old99 + 10)
        print(
            f"{name:55} {old50:10.3f} {new50:8.3f} {new50 / old50:6.2f} {old99:10.3f} {new99:8.3f}"
            + "  over" * over
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("commit", help="the earlier one")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--only", default="", help="parts of figures' names, by commas")
    parser.add_argument("--tree", type=Path, help="the earlier commit, built already")
    options = parser.parse_args()
    before: Found = defaultdict(list)
    now: Found = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        try:
            old = options.tree or build(options.commit, tree)
            pair = [(old, before), (ROOT, now)]
            for block in range(options.blocks):
                for where, into in pair if block % 2 == 0 else pair[::-1]:
                    run(where, options.only, into)
                print(f"block {block + 1} of {options.blocks}", file=sys.stderr, flush=True)
        finally:
            if options.tree is None:
                subprocess.run(
                    ["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=False
                )
    report(before, now)


if __name__ == "__main__":
    main()
