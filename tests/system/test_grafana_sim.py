"""The gateway of a simulated system: a Prometheus scrapes it, and every expression of the dashboard
for Grafana has data; where it listens; that `up` finds pairs anew when it is asked through it."""

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

from bed import free_port, until
from spread_scanner.config.settings import Gateway

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.py"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


TOKEN = "a-token-to-control-by"


@pytest.fixture(scope="module")
def taken() -> Iterator[int]:
    """The gateway's port as shipped, at which somebody listens."""
    shown = Gateway()
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # somebody does already
            held.enter_context(socket.create_server((shown.host, shown.port)))
        yield shown.port


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, taken: int) -> Iterator[WithGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    more = {"SPREAD_SPREAD_GATEWAY__CONTROL_TOKEN_FILE": str(token)}
    with up_with_gateway(folder, f"gateway-{os.getpid()}", more) as made:
        yield made


def test_it_takes_the_next_port_that_is_free(system: WithGateway, taken: int) -> None:
    assert taken < int(system.address.rpartition(":")[2])


def test_who_may_control_has_pairs_found_anew(system: WithGateway) -> None:
    with httpx.Client(base_url=system.address, timeout=30) as web:

        def generation() -> int:
            return int(web.get("/v1/tables").json()["generation"])

        before = generation()
        assert web.post("/v1/control/discover").status_code == 401
        bearer = {"authorization": f"Bearer {TOKEN}"}
        answer = web.post("/v1/control/discover", headers=bearer)
        assert answer.status_code == 202, answer.text
        until(lambda: generation() > before, timeout_s=120, look_s=0.2)


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
    listens = f"127.0.0.1:{free_port()}"
    child = subprocess.Popen(
        [
            *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"),
            *(f"--web.listen-address={listens}", "--log.level=error"),
        ]
    )
    yield f"http://{listens}"
    child.terminate()
    child.wait()


def test_every_expression_of_the_dashboard_has_data(prometheus: str, system: WithGateway) -> None:
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
                web.get(f"{system.address}/v1/connections")  # which waits
                missing.difference_update([expr for expr in missing if has_data(web, expr)])
            return not missing

        until(all_have, lambda: sorted(missing), look_s=0.5)


def has_data(web: httpx.Client, expr: str) -> bool:
    answer = web.get("/api/v1/query", params={"query": expr}).json()
    assert answer["status"] == "success", answer
    rows: list[Any] = answer["data"]["result"]
    return any(not math.isnan(float(row["value"][1])) for row in rows)
