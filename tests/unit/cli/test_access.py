"""What is said when there is no way to the objects: a broken kubeconfig, a silent server, nothing there."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner

from sophia_operator.cli import kube
from sophia_operator.cli.app import app

BROKEN: Final[dict[str, tuple[bytes, str]]] = {
    "open bracket": (b"users: [\n", "is no YAML at line 2"),
    "control character": (b"a: \x00", "it is no YAML"),
    "string": (b"just some words", "does not have the clusters"),
    "list": (b"- a\n- b\n", "does not have the clusters"),
    "empty": (b"", "is empty"),
    "not text": (b"\xff\xfe\xfd", "does not have the clusters"),
    "names only": (b"clusters: [a]\nusers: [b]\ncontexts: [c]\ncurrent-context: c\n", "to have 'name' key"),
}


def kubeconfig(path: Path, server: str = "https://127.0.0.1:1", **parts: Any) -> Path:
    """A kubeconfig whose context is `here`; `parts` replace the inner part of its only user, cluster or context."""
    inner = {
        "user": {"token": "s3cr3t"},
        "cluster": {"server": server},
        "context": {"cluster": "c", "user": "u", "namespace": "shop"},
        **parts,
    }
    whole = {
        "current-context": "here",
        "users": [{"name": "u", "user": inner["user"]}],
        "clusters": [{"name": "c", "cluster": inner["cluster"]}],
        "contexts": [{"name": "here", "context": inner["context"]}],
    }
    path.write_text(yaml.safe_dump(whole))
    return path


def fails(config: Path, *arguments: str) -> str:
    """The one line that the command says, without its `error: `."""
    result = CliRunner().invoke(app, [*arguments, "--kubeconfig", str(config)])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "s3cr3t" not in line
    return line.removeprefix("error: ")


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, name: str) -> None:
    content, why = BROKEN[name]
    file = tmp_path / "config"
    file.write_bytes(content)
    line = fails(file, "get")
    assert line.startswith(f"no usable kubeconfig {file}: ")
    assert why in line
    assert line.endswith("; mend it, or name another one with --kubeconfig")


@pytest.mark.parametrize(
    "parts",
    [
        {"cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": "a"}},
        {"cluster": {"server": 5}},
        {"cluster": {"server": "127.0.0.1:1"}},
        {"cluster": {"proxy-url": "http://127.0.0.1:1"}},
        {"cluster": "nonsense"},
        {"cluster": None},
        {"user": None},
        {"user": {"client-certificate-data": "a", "client-key-data": "s3cr3t"}},
        {"context": None},
        {"context": []},
        {"context": {"cluster": "absent", "user": "u"}},
    ],
    ids=str,
)
def test_a_kubeconfig_with_a_broken_part_is_named(tmp_path: Path, parts: dict[str, Any]) -> None:
    file = kubeconfig(tmp_path / "config", **parts)
    assert str(file) in fails(file, "get")


def test_an_entry_without_its_inner_part_is_not_shown(tmp_path: Path) -> None:
    """The client library names such an entry by all that is in it, tokens too."""
    file = kubeconfig(tmp_path / "config")
    whole = yaml.safe_load(file.read_text())
    whole["users"] = [{"name": "u", "token": "s3cr3t"}]
    file.write_text(yaml.safe_dump(whole))
    assert "Expected key user" in fails(file, "get")


@pytest.fixture
def silent() -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that takes connections and never answers; and the connections that it took."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        yield f"http://127.0.0.1:{port}", taken
        listener.shutdown(socket.SHUT_RDWR)
    taker.join(5)
    for connection in taken:
        connection.close()


@pytest.mark.parametrize("arguments", [["status", "hello"], ["status", "hello", "--wait"], ["get"], ["pause", "hello"]])
def test_a_silent_server_is_asked_once(
    tmp_path: Path,
    silent: tuple[str, list[socket.socket]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    arguments: list[str],
) -> None:
    server, taken = silent
    for limit in ("_TIMEOUT", "_LIST_TIMEOUT"):
        monkeypatch.setattr(kube, limit, (0.2, 0.2))
    with caplog.at_level(logging.WARNING):
        line = fails(kubeconfig(tmp_path / "config", server), *arguments)
    assert "the API server cannot be reached" in line
    assert "timed out" in line
    assert len(taken) == 1
    assert not caplog.records


def test_no_request_for_one_object_takes_long() -> None:
    assert sum(kube._TIMEOUT) <= 15


Answer = tuple[int, dict[str, str], str]


@contextmanager
def answering(*answers: Answer) -> Iterator[str]:
    """A server that gives these answers, the last one again and again."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, headers, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(5)


def status(code: int, **details: str) -> Answer:
    body = {"kind": "Status", "code": code, "message": "no", "details": details}
    return code, {"Content-Type": "application/json"}, json.dumps(body)


def test_a_wrong_name_and_missing_crds_are_told_apart(tmp_path: Path) -> None:
    def says(answer: Answer) -> str:
        with answering(answer) as server:
            return fails(kubeconfig(tmp_path / "config", server), "status", "hello")

    assert says(status(404, name="hello", kind="managedservices")) == (
        "ManagedService hello not found in namespace shop (context here); `kubectl sophia get -A` lists all services"
    )
    assert says((404, {"Content-Type": "text/plain"}, "404 page not found\n")) == (
        "the cluster of context here has no sophia.ai/v1alpha1: install the CRDs (docs/how-to/install.md)"
    )
    assert says(status(404)) == "ManagedService shop/hello: the API server refused (404): no"


def test_a_server_that_says_later_is_asked_again(tmp_path: Path) -> None:
    busy = (429, {"Retry-After": "1"}, "busy")
    empty = (200, {"Content-Type": "application/json"}, '{"items": []}')
    with answering(busy, empty) as server:
        result = CliRunner().invoke(app, ["get", "--kubeconfig", str(kubeconfig(tmp_path / "config", server))])
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("body", ["[]", "{}", '{"items": 5}', '"x"'])
def test_an_answer_that_is_no_list_is_an_error(tmp_path: Path, body: str) -> None:
    with answering((200, {"Content-Type": "application/json"}, body)) as server:
        assert "the API server answered with something" in fails(kubeconfig(tmp_path / "config", server), "get")
