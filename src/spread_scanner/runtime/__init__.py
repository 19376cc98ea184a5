"""How a process lives: start, heartbeat, orders, signals, pinning, logs, dialling out."""

import sys

# Where rich is there, structlog loads it and pygments for tracebacks in colour, which nobody here
# prints: a seventh of the start of each of a dozen processes. A module that is None is not there.
if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401

    del sys.modules["rich"]
# httpx loads them, too, for a command line of its own: 4.5 MB of each process that asks by REST. It
# does without where that is not there.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
