"""The adapter and the queries together, on a Prometheus that scrapes; and on one that wants TLS and a password."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sophia_operator.adapters.prometheus import PrometheusMetrics
from sophia_operator.api.gates import Gate, PromqlGate, SuccessRateGate
from sophia_operator.api.metrics import Metrics, MetricsPreset, PrometheusAccess
from sophia_operator.api.release import Color
from sophia_operator.core.evidence.queries import gate_query, share_query
from sophia_operator.core.evidence.subject import Subject
from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, MetricsRequest, QueryRefused, Samples
from tests.component.prometheus import server

CONTOUR = Metrics(preset=MetricsPreset.CONTOUR)
SUCCESS = Gate(name="success", success_rate=SuccessRateGate(min_percent="99"))
GREEN = Subject("shop", "chat", "chat-2", Color.GREEN, 80)
BLUE = Subject("shop", "chat", "chat-1", Color.BLUE, 80)
#: Of the word "pass-word", made with bcrypt at its least cost.
BCRYPT = "$2b$04$hpx38d7OkrdeLpwYmTWbeu2y5/e4B1QAre.Hj1ItZbO/VdqGPgqEe"


@asynccontextmanager
async def adapter(
    default: PrometheusAccess, secret: Mapping[str, bytes] | None = None
) -> AsyncIterator[PrometheusMetrics]:
    async def read(namespace: str, name: str) -> Mapping[str, bytes]:
        assert secret is not None
        return secret

    metrics = PrometheusMetrics(default=default, read_secret=read)
    try:
        yield metrics
    finally:
        await metrics.close()


async def ask(metrics: PrometheusMetrics, query: str) -> MetricsAnswer:
    return await metrics.query("shop", MetricsRequest("gate/x", query, None))


class Exporter:
    """A gateway's metrics, as they are now."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def text(self) -> str:
        return "".join(
            f'envoy_cluster_upstream_rq_xx{{envoy_cluster_name="shop_chat-{color}_80",'
            f'envoy_response_code_class="{code}"}} {count}\n'
            for (color, code), count in self.counts.items()
        )


@pytest.fixture
def exporter() -> Iterator[tuple[Exporter, str]]:
    state = Exporter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = state.text().encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.05,))
        thread.start()
        yield state, f"127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


async def test_scraped_counts_become_evidence(tmp_path: Path, exporter: tuple[Exporter, str]) -> None:
    state, target = exporter
    state.counts = {("blue", "2"): 1000}
    with server.running(tmp_path / "data", scrape=[target]) as address:
        async with adapter(PrometheusAccess(url=f"http://{address}")) as metrics:
            await _until(metrics, "count(envoy_cluster_upstream_rq_xx) == 1")
            await asyncio.sleep(5)  # the window of the gate: green begins in it
            state.counts = {("blue", "2"): 1360, ("green", "2"): 37, ("green", "5"): 3}
            await _until(metrics, "count(envoy_cluster_upstream_rq_xx) == 3")
            gate = gate_query(SUCCESS.model_copy(update={"window_seconds": 4}), CONTOUR, GREEN, None, 4)
            assert await ask(metrics, gate) == Samples({"total": 40, "errors": 3})
            share = share_query(CONTOUR, {Color.BLUE: BLUE, Color.GREEN: GREEN}, 4)
            assert await ask(metrics, share) == Samples({"blue": 360, "green": 40})


async def _until(metrics: PrometheusMetrics, query: str) -> None:
    for _ in range(100):
        answer = await ask(metrics, query)
        assert isinstance(answer, Samples)
        if answer.values:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"never true: {query}")


async def test_refusals_have_prometheus_own_words(history: str) -> None:
    async with adapter(PrometheusAccess(url=f"http://{history}")) as metrics:
        answer = await ask(metrics, "sum(")
        assert isinstance(answer, QueryRefused)
        assert "parse error" in answer.message
        query = gate_query(Gate(name="x", promql=PromqlGate(query="up[5m]", max="1")), CONTOUR, GREEN, None, 60)
        answer = await ask(metrics, query)
        assert isinstance(answer, QueryRefused)
        assert "instant vector" in answer.message
        answer = await ask(
            metrics,
            "envoy_cluster_upstream_rq_xx offset 1000w or vector(1) or label_replace(vector(2), 'a', 'b', '', '')",
        )
        assert answer == QueryRefused("the query yields several series for one number: aggregate them, as with sum()")


async def test_what_is_not_a_number_is_left_out(history: str) -> None:
    async with adapter(PrometheusAccess(url=f"http://{history}")) as metrics:
        assert await ask(metrics, "vector(0) / 0") == Samples({})
        assert await ask(metrics, "vector(1) / 0") == Samples({})
        assert await ask(metrics, "scalar(vector(3))") == Samples({"": 3})


async def test_long_queries_pass(history: str) -> None:
    async with adapter(PrometheusAccess(url=f"http://{history}")) as metrics:
        assert await ask(metrics, " + ".join(["vector(1)"] * 1500)) == Samples({"": 1500})


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a server's and a client's certificate of it."""
    folder = tmp_path_factory.mktemp("pki")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj")
    _openssl(folder, *new, "/CN=authority", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt")
    for name in ("server", "client"):
        _openssl(folder, *new, f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.crt")
    return folder


@pytest.fixture(scope="module")
def guarded(pki: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus behind TLS that wants a client's certificate and a password."""
    folder = tmp_path_factory.mktemp("guarded")
    config = folder / "web.yml"
    config.write_text(
        f"tls_server_config: {{cert_file: {pki}/server.crt, key_file: {pki}/server.key,"
        f" client_ca_file: {pki}/ca.crt, client_auth_type: RequireAndVerifyClientCert}}\n"
        f"basic_auth_users: {{operator: '{BCRYPT}'}}\n"
    )
    with server.running(folder / "data", web_config=config) as address:
        yield address


def _secret(pki: Path, password: str = "pass-word") -> dict[str, bytes]:
    files = {"ca.crt": "ca.crt", "tls.crt": "client.crt", "tls.key": "client.key"}
    content = {key: (pki / file).read_bytes() for key, file in files.items()}
    return content | {"username": b"operator", "password": password.encode()}


async def _guarded_answer(address: str, secret: dict[str, bytes] | None) -> MetricsAnswer:
    access = PrometheusAccess(url=f"https://{address}", secret_name="prometheus" if secret is not None else None)
    async with adapter(access, secret) as metrics:
        return await ask(metrics, "vector(1)")


async def test_certificates_and_password_from_a_secret_open_a_guarded_prometheus(guarded: str, pki: Path) -> None:
    assert await _guarded_answer(guarded, _secret(pki)) == Samples({"": 1})


async def test_a_wrong_password_is_an_outage(guarded: str, pki: Path) -> None:
    answer = await _guarded_answer(guarded, _secret(pki, "wr0ng-one"))
    assert isinstance(answer, MetricsOutage)
    assert "401" in answer.message
    assert "wr0ng-one" not in answer.message


async def test_an_unknown_authority_is_an_outage(guarded: str, pki: Path) -> None:
    answer = await _guarded_answer(guarded, {k: v for k, v in _secret(pki).items() if k != "ca.crt"})
    assert isinstance(answer, MetricsOutage)
    assert "has a certificate that is not trusted" in answer.message


async def test_a_missing_client_certificate_is_an_outage(guarded: str, pki: Path) -> None:
    answer = await _guarded_answer(guarded, {k: v for k, v in _secret(pki).items() if not k.startswith("tls.")})
    assert isinstance(answer, MetricsOutage)
    # By TLS 1.3 the server hangs up after the handshake: how that shows is a matter of timing.
    assert "cannot be reached" in answer.message or "broke the connection" in answer.message
