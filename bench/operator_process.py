"""The operator as a process of its own, and what it costs: memory, CPU, requests, time of its passes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import histogram_quantile
from hack.cluster.daemons import free_ports

_STOP_SECONDS: Final = 30.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SERIES: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Samples:
    """One reading of a metrics endpoint."""

    values: Mapping[tuple[str, Labels], float]

    @classmethod
    def parse(cls, text: str, prefix: str = "") -> Samples:
        """Read Prometheus's text format; only names that begin with `prefix`."""
        values = {}
        for line in text.splitlines():
            found = _SERIES.match(line) if line.startswith(prefix) else None
            if found is not None:
                values[found[1], frozenset(_LABEL.findall(found[2] or ""))] = float(found[3])
        return cls(values)

    def total(self, name: str, **labels: str) -> float:
        """Sum over the series of that name that have these labels."""
        wanted = set(labels.items())
        return sum(value for (n, ls), value in self.values.items() if n == name and wanted <= ls)

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Sums by the values of these labels."""
        out: dict[tuple[str, ...], float] = {}
        for (n, ls), value in self.values.items():
            if n == name:
                known = dict(ls)
                key = tuple(known.get(label, "") for label in labels)
                out[key] = out.get(key, 0.0) + value
        return out

    def since(self, before: Samples) -> Samples:
        """Counters as they grew after `before`."""
        return Samples({key: value - before.values.get(key, 0.0) for key, value in self.values.items()})

    def quantile(self, histogram: str, fraction: float, **labels: str) -> float | None:
        """Quantile of a histogram over the series with these labels; None when nothing was observed."""
        buckets: dict[float, float] = {}
        wanted = set(labels.items())
        for (name, ls), value in self.values.items():
            if name == f"{histogram}_bucket" and wanted <= ls:
                bound = float(dict(ls)["le"])
                buckets[bound] = buckets.get(bound, 0.0) + value
        return histogram_quantile(buckets, fraction)


@dataclass(frozen=True)
class Memory:
    """Memory of a process, in MiB: all that is resident, and with shared pages counted in part."""

    rss: float
    pss: float


class OperatorProcess:
    """A running operator."""

    def __init__(self, process: subprocess.Popen[bytes], metrics_port: int, log: Path) -> None:
        self._process = process
        self._metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
        self._log = log
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise RuntimeError when it has ended."""
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"the operator ended with code {code}:\n{self._tail()}")

    def metrics(self) -> Samples | None:
        """Its metrics; None while it does not answer. Raises RuntimeError when it has ended."""
        self.check()
        try:
            with urllib.request.urlopen(self._metrics_url, timeout=10) as answer:
                return Samples.parse(answer.read().decode())
        except (OSError, urllib.error.URLError):
            return None

    def read(self) -> Samples:
        """Its metrics, which must be there. Raises TimeoutError."""
        end = time.monotonic() + 30
        while (found := self.metrics()) is None:
            if time.monotonic() > end:
                raise TimeoutError("the operator's metrics do not answer")
            time.sleep(0.1)
        return found

    def cpu_seconds(self) -> float:
        """CPU time that it has used so far, in user and kernel mode."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> Memory:
        """Its memory now."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB$", text, re.MULTILINE))
        return Memory(rss=round(int(found["Rss"]) / 1024, 1), pss=round(int(found["Pss"]) / 1024, 1))

    def peak_mib(self) -> float:
        """The most memory that was resident at once, in MiB."""
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return round(int(found[1]) / 1024, 1)

    def wait_quiet(self, services: int, *, seconds: float, still: float = 2.0) -> float:
        """Wait until that many services have loops, each had a pass, and no pass ended for `still` seconds.

        Returns when the last pass ended, in seconds since the process started. Raises TimeoutError.
        """
        end = time.monotonic() + seconds
        passes, changed = -1.0, time.monotonic()
        while True:
            found = self.metrics()
            now = time.monotonic()
            if found is not None:
                count = found.total("sophia_reconcile_duration_seconds_count")
                if count != passes:
                    passes, changed = count, now
                loops = found.total("sophia_services")
                if loops == services and passes >= services and now - changed >= still:
                    return changed - self.started
            if now > end:
                raise TimeoutError(f"not quiet after {seconds:.0f} s: {passes:.0f} passes\n{self._tail()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it as Kubernetes does, and wait."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tail(self) -> str:
        return self._log.read_text()[-2000:]


@contextmanager
def running(kubeconfig: Path, log: Path, prometheus_url: str | None = None) -> Iterator[OperatorProcess]:
    """Run the operator, as deployed but out of the cluster, with its log in a file."""
    metrics, health = free_ports(2)
    command = [
        *(sys.executable, "-m", "sophia_operator", "run", f"--kubeconfig={kubeconfig}"),
        *(f"--metrics-port={metrics}", f"--health-port={health}"),
        *([f"--prometheus-url={prometheus_url}"] if prometheus_url else []),
    ]
    log.parent.mkdir(parents=True, exist_ok=True)
    source = str(Path(__file__).resolve().parents[1] / "operator")
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": source},
        )
        operator = OperatorProcess(process, metrics, log)
        try:
            yield operator
        finally:
            operator.stop()
