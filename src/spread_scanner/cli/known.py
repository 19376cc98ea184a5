"""The settings of the system that a command shows or steers."""

import contextlib
import os

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.errors import NoSettings
from spread_scanner.shm import Health
from spread_scanner.shm.faults import BadNamespace


def load_settings() -> Settings:
    """As `config.load`. Where there are none, and nobody has said in which folder, what runs in the
    namespace would say it: raises NoSegment when nothing does, else ConfigError."""
    try:
        return config.load()
    except NoSettings:
        namespace = os.environ.get("SPREAD_SYSTEM__NAMESPACE")
        if namespace and not os.environ.get("SPREAD_CONFIG_DIR"):
            with contextlib.suppress(BadNamespace):
                Health.attach(namespace, timeout_s=0).close()
        raise
