"""A Prometheus scrapes the gateway of a simulated system, and every expression of the dashboard for
Grafana has data."""

import contextlib
import math
import os
import runpy
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from simulated import WithGateway, up_with_gateway

from bed import until

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.py"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with up_with_gateway(folder, f"gateway-{os.getpid()}") as made:
        yield made


@pytest.fixture
def prometheus(system: WithGateway, tmp_path: Path) -> Iterator[str]:
    """One that scrapes the gateway each second; its address."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed: Debian's package of that name has it")
    target = system.address.removeprefix("http://")
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "scrape_configs:\n  - job_name: spread-scanner\n    scrape_interval: 1s\n"
        f"    static_configs: [{{targets: ['{target}']}}]\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        listens = f"127.0.0.1:{free.getsockname()[1]}"
    child = subprocess.Popen(
        [
            *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"),
            *(f"--web.listen-address={listens}", "--log.level=error"),
        ]
    )
    yield f"http://{listens}"
    child.terminate()
    child.wait()


def test_every_expression_of_the_dashboard_has_data(prometheus: str) -> None:
    panels = runpy.run_path(str(DASHBOARD))["dashboard"]()["panels"]
    missing = {
        target["expr"].replace("$__rate_interval", "10s")
        for panel in panels
        for target in panel.get("targets", ())
    }
    assert missing
    with httpx.Client(base_url=prometheus) as web:

        def all_have() -> bool:
            with contextlib.suppress(httpx.TransportError):
                missing.difference_update([expr for expr in missing if has_data(web, expr)])
            return not missing

        until(all_have, lambda: sorted(missing), look_s=0.5)


def has_data(web: httpx.Client, expr: str) -> bool:
    answer = web.get("/api/v1/query", params={"query": expr}).json()
    assert answer["status"] == "success", answer
    rows: list[Any] = answer["data"]["result"]
    return any(not math.isnan(float(row["value"][1])) for row in rows)
