"""Whether whoever runs the system in the foreground has asked for its end: Ctrl-C, a plain kill, a
closed terminal, all by the same handler.

Written by signals; read by the run, which ends itself in order, and hears a second one where it
computes.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


class Stop:
    """Its handler must not raise, but where it is told to: what is raised while the interpreter
    runs a fork's hooks is swallowed there, and the wish would be with it.
    """

    def __init__(self) -> None:
        self.asked = self._again = False
        self._raises = False
        self._then: Callable[[], None] | None = None

    def ask(self, number: int, frame: FrameType | None) -> None:
        self._again, self.asked = self.asked, True
        if self._then is not None:
            self._then()
        if self._raises:
            raise KeyboardInterrupt

    def then(self, do: Callable[[], None]) -> None:
        """Do this when asked; now, if that has been."""
        self._then = do
        if self.asked:
            do()

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """What is done in here, and forks nobody, gives way to whoever asks: KeyboardInterrupt. Who
        has asked twice before does not want it at all."""
        self._raises = True
        try:
            if self._again:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False


@contextlib.contextmanager
def on_signals() -> Iterator[Stop]:
    """Until its end nothing else ends the run."""
    stop = Stop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, stop.ask) for number in numbers]
    try:
        yield stop
    finally:
        for number, old in zip(numbers, before, strict=True):
            signal.signal(number, old)
