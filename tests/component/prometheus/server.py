"""A real Prometheus on the loopback interface, with samples written into its store beforehand."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hack.rig import debian_programs

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Counter:
    """Samples of one series: (seconds, value), rising in time."""

    metric: str
    labels: Mapping[str, str]
    samples: Sequence[tuple[float, float]]


def program(name: str) -> Path:
    """Path of `prometheus` or `promtool`."""
    return debian_programs.program("prometheus", f"usr/bin/{name}").path


def backfill(folder: Path, counters: Sequence[Counter]) -> None:
    """Write the samples into the store at `folder`, as blocks."""
    lines = []
    for counter in sorted(counters, key=lambda c: c.metric):
        labels = ",".join(f'{k}="{v}"' for k, v in counter.labels.items())
        lines += [f"{counter.metric}{{{labels}}} {value} {at:.3f}" for at, value in counter.samples]
    folder.mkdir(parents=True, exist_ok=True)
    source = folder.parent / "samples.txt"
    source.write_text("\n".join([*lines, "# EOF", ""]))
    command = [str(program("promtool")), "tsdb", "create-blocks-from", "openmetrics", "-q", str(source), str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, *, scrape: Sequence[str] = (), web_config: Path | None = None) -> Iterator[str]:
    """Run Prometheus on the store at `folder`, scraping `scrape` (host:port) each second; yields `host:port`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder.parent / "prometheus.yml"
    jobs = [{"job_name": "fake", "static_configs": [{"targets": list(scrape)}]}] if scrape else []
    config.write_text(json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}))
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(program("prometheus")),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
        *([f"--web.config.file={web_config}"] if web_config is not None else []),
    ]
    log = folder.parent / "prometheus.log"
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            _await_ready(process, log)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    # The log says so whatever the server asks of its clients.
    deadline = time.monotonic() + _START_SECONDS
    while "Server is ready to receive web requests" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"Prometheus did not start: {log.read_text()}"
        time.sleep(0.05)


def evaluate(address: str, query: str, at: float) -> dict[str, float]:
    """Instant query at a time; values by the label `sophia`. Fails the test when Prometheus refuses."""
    form = urllib.parse.urlencode({"query": query, "time": f"{at:.3f}"}).encode()
    request = urllib.request.Request(f"http://{address}/api/v1/query", data=form)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            result = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as refused:
        with suppress(OSError):
            raise AssertionError(f"{refused.read().decode()}\n{query}") from refused
        raise
    names = [sample["metric"].get("sophia", "") for sample in result]
    assert len(set(names)) == len(names), f"samples are not told apart: {result}"
    return {name: float(sample["value"][1]) for name, sample in zip(names, result, strict=True)}
