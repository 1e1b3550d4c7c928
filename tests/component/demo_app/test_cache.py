"""The demo app uses the cache that is mounted: levels in their order, generations, and what Redis tells of changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from hack.demo.cached_reads import Reader, fill, hit_percent, median_ms
from hack.rig import postgres_base as base
from hack.rig.redis import RedisServer, server
from hack.rig.redis_base import CLIENT, CLIENT_PASSWORD
from hack.rig.waiting import until
from sophia_operator.core.cache.chain import text, with_generations

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="no Go on this machine (the image brings its own)")

SOURCE = Path(__file__).resolve().parents[3] / "images/demo-app"
NAMESPACES = [{"name": "emb", "prefix": "emb", "ttlSeconds": 60}]
MEMORY = {"maxEntries": 2, "ttlSeconds": 60, "invalidation": "ClientTracking"}


def chain(number: int = 1, *, strategy: str = "WriteThrough", memory: dict[str, Any] | None = None) -> str:
    """chain.json of a Memory level above a Redis level, as the operator writes it."""
    levels = [
        {"name": "near", "level": "Memory", "binding": "near", "memory": memory or MEMORY, "namespaces": NAMESPACES},
        {"name": "far", "level": "Redis", "binding": "far", "namespaces": NAMESPACES},
    ]
    frozen = {"version": 1, "writeStrategy": strategy, "levels": levels}
    return text(with_generations(frozen, {"far": {"emb": number}}, revision=7))


class App:
    """One process of the app."""

    def __init__(self, binary: Path, root: Path, folder: Path) -> None:
        self.port = base.free_port()
        self.log = folder / f"app-{self.port}.log"
        environment = {
            "DEMO_LISTEN": f"127.0.0.1:{self.port}",
            "SERVICE_BINDING_ROOT": str(root),
            "SOPHIA_RELEASE": "web-7",
            "DEMO_ORIGIN_MS": "1",
            "DEMO_DRAIN_SECONDS": "0",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([binary], env=environment, stdout=log, stderr=log)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10, trust_env=False)
        until("the app to answer", self._answers, seconds=20, every=0.02)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, key: str) -> tuple[str, str]:
        """The value of a key of the namespace, and the level that had it."""
        answer = self.client.get(f"/cached/emb/{key}")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        return found["value"], found["level"]

    def put(self, key: str, value: str) -> httpx.Response:
        """Write it."""
        return self.client.put(f"/cached/emb/{key}", content=value)

    def metric(self, line: str) -> float:
        """The value of a metric, by its name and labels."""
        for found in self.client.get("/metrics").text.splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        raise AssertionError(f"no {line}")

    def stop(self) -> None:
        """End it."""
        self.client.close()
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("app") / "demo-app"
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    subprocess.run(["go", "build", "-o", out, "."], cwd=SOURCE, env=environment, check=True, timeout=110)
    return out


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with server() as running:
        yield running


@pytest.fixture
def root(tmp_path: Path, redis_server: RedisServer) -> Path:
    """The directory with the bindings, as it is mounted."""
    found = {
        "near": {"type": "memory", "chain.json": chain()},
        "far": {
            "type": "redis",
            "host": redis_server.host,
            "port": str(redis_server.port),
            "username": CLIENT,
            "password": CLIENT_PASSWORD,
        },
    }
    for name, files in found.items():
        (tmp_path / "bindings" / name).mkdir(parents=True)
        for key, value in files.items():
            (tmp_path / "bindings" / name / key).write_text(value)
    return tmp_path / "bindings"


@pytest.fixture
def start(binary: Path, root: Path, tmp_path: Path) -> Iterator[Callable[[], App]]:
    with ExitStack() as running:

        def make() -> App:
            app = App(binary, root, tmp_path)
            running.callback(app.stop)
            return app

        yield make


def rewrite(root: Path, content: str) -> None:
    """Change the chain as the kubelet does: at once."""
    (root / "near" / "new").write_text(content)
    (root / "near" / "new").rename(root / "near" / "chain.json")


def warm(app: App, key: str) -> None:
    """Ask until the value is in memory."""
    until("the value to be in memory", lambda: app.get(key)[1] == "near", seconds=10, every=0.02)


def test_levels_are_asked_in_their_order_and_filled_on_the_way_back(
    start: Callable[[], App], redis_server: RedisServer
) -> None:
    app = start()
    assert app.get("one") == ("emb/one of web-7", "origin")
    assert redis_server.call("GET", "emb:g1r7:one") == b"emb/one of web-7"
    assert 0 < redis_server.call("TTL", "emb:g1r7:one") <= 60
    warm(app, "one")
    assert app.metric('cache_requests_total{level="origin",result="hit"}') == 1
    assert app.metric('cache_requests_total{level="near",result="hit"}') >= 1
    other = start()
    assert other.get("one") == ("emb/one of web-7", "far")
    assert other.metric('cache_requests_total{level="far",result="hit"}') == 1


def test_what_another_process_writes_is_seen_at_once(start: Callable[[], App]) -> None:
    reader, writer = start(), start()
    reader.get("one")
    warm(reader, "one")
    assert writer.put("one", "new").status_code == 200
    until("the new value", lambda: reader.get("one")[0] == "new", seconds=5, every=0.01)
    assert reader.metric('cache_requests_total{level="origin",result="hit"}') == 1


def test_a_flush_of_all_empties_the_memory(start: Callable[[], App], redis_server: RedisServer) -> None:
    app = start()
    app.get("one")
    warm(app, "one")
    redis_server.call("FLUSHALL")
    until("the memory to be empty", lambda: app.metric("cache_memory_entries") == 0, seconds=5, every=0.01)


def test_a_raised_generation_is_taken_up_while_it_runs(start: Callable[[], App], root: Path) -> None:
    app = start()
    app.put("one", "old")
    warm(app, "one")
    rewrite(root, chain(2))
    until("the new generation", lambda: app.get("one") == ("emb/one of web-7", "origin"), seconds=10, every=0.05)
    assert app.metric('cache_generation{level="far",namespace="emb",generation="g2r7"}') == 2


def test_a_chain_that_cannot_be_used_is_told_and_the_old_one_stays(start: Callable[[], App], root: Path) -> None:
    app = start()
    rewrite(root, json.dumps({"levels": [{"name": "x", "level": "Disk"}]}))
    until("the log", lambda: "cannot be used, the one before stays" in app.log.read_text(), seconds=10, every=0.05)
    app.put("one", "kept")
    assert app.get("one")[0] == "kept"


def test_memory_holds_no_more_than_it_may(start: Callable[[], App]) -> None:
    app = start()
    for key in "abcd":
        app.get(key)
        app.get(key)
        app.get(key)
    assert app.metric("cache_memory_entries") <= 2


def test_without_redis_the_origin_answers_and_nothing_stale_is_in_memory(
    start: Callable[[], App], redis_server: RedisServer
) -> None:
    app = start()
    app.put("one", "cached")
    warm(app, "one")
    redis_server.kill()
    until("the origin", lambda: app.get("one") == ("emb/one of web-7", "origin"), seconds=10, every=0.05)
    assert app.metric('cache_requests_total{level="far",result="error"}') > 0
    assert app.put("two", "x").status_code == 502
    redis_server.start()
    until("Redis again", lambda: app.put("two", "back").status_code == 200, seconds=10, every=0.05)


def test_writing_around_takes_out_of_the_caches(
    start: Callable[[], App], root: Path, redis_server: RedisServer
) -> None:
    rewrite(root, chain(strategy="WriteAround"))
    app = start()
    app.get("one")
    app.put("one", "elsewhere")
    assert redis_server.call("EXISTS", "emb:g1r7:one") == 0
    assert app.get("one")[1] == "origin"


def test_an_unknown_namespace_and_a_path_without_a_key_are_told(start: Callable[[], App]) -> None:
    app = start()
    assert "no level of the cache has that namespace" in app.client.get("/cached/none/one").json()["error"]
    assert app.client.get("/cached/emb").status_code == 404


def test_the_password_is_not_told(start: Callable[[], App], redis_server: RedisServer) -> None:
    app = start()
    app.get("one")
    redis_server.kill()
    app.get("two")
    assert "redis at" in app.log.read_text()
    assert CLIENT_PASSWORD not in app.log.read_text() + app.client.get("/metrics").text


def test_the_demo_reads_who_answered_and_what_the_app_counted(start: Callable[[], App]) -> None:
    """What `make demo` measures, with the app itself."""
    first, second = start(), start()
    fill(f"http://127.0.0.1:{first.port}/", "web.example.com", "emb", ["one", "two"])
    with Reader("127.0.0.1", "emb", port=second.port) as reader:
        before = reader.counts()
        answers = reader.read(["one", "two", "one"])
        assert [answer.level for answer in answers] == ["far", "far", "near"]
        assert {answer.value for answer in answers} == {"emb/one of web-7", "emb/two of web-7"}
        between = reader.counts()
        assert hit_percent(before, between, "near") == 100.0
        assert [answer.level for answer in reader.read(["three"])] == ["origin"]
        assert hit_percent(between, reader.counts(), "near") == 0.0
        assert (median_ms(answers, "near") or 0) > 0
