"""Each way that a kubeconfig gives to log in, and a clear word on those that are not taken."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from hack.cluster import pki
from hack.rig.access import KubeconfigError, access_of
from hack.rig.api import Api, access

ADMIN = pki.Identity("admin", "admin")


def written(folder: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None) -> Path:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443", **(cluster or {})}}],
        "users": [{"name": "other", "user": {"token": "wrong"}}, {"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "here",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def signature(kubeconfig: Path) -> str | None:
    """What a request carries to say who asks."""
    request = access_of(kubeconfig).sign(httpx.Request("GET", "https://192.0.2.1:6443/"))
    found: str | None = request.headers.get("authorization")
    return found


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> pki.Authority:
    return pki.create(tmp_path_factory.mktemp("pki"), [ADMIN])


def test_a_client_certificate(tmp_path: Path, authority: pki.Authority) -> None:
    data = {
        "client-certificate-data": encoded(authority.certificate("admin")),
        "client-key-data": encoded(authority.key("admin")),
    }
    found = access_of(written(tmp_path, data, {"certificate-authority-data": encoded(authority.ca)}))
    assert (found.server, found.certified, found.token) == ("https://192.0.2.1:6443", True, None)
    assert "sophia-local-ca" in str(found.tls.get_ca_certs())


def test_a_client_certificate_in_files_beside_the_kubeconfig(authority: pki.Authority) -> None:
    files = {"client-certificate": "admin.crt", "client-key": "admin.key"}
    path = written(authority.directory, files, {"certificate-authority": str(authority.ca)})
    assert access_of(path).certified
    assert access(path)[0] == "https://192.0.2.1:6443"


def test_a_token(tmp_path: Path) -> None:
    assert signature(written(tmp_path, {"token": "secret"})) == "Bearer secret"


def test_a_token_file_is_read_again_for_each_request(tmp_path: Path) -> None:
    """It lies beside the kubeconfig, and wins over a token, as with kubectl."""
    path = written(tmp_path, {"tokenFile": "token", "token": "old"})
    (tmp_path / "token").write_text("first\n")
    assert signature(path) == "Bearer first"
    (tmp_path / "token").write_text("second\n")
    assert signature(path) == "Bearer second"


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"exec": {"command": "cloud-login"}}, "'here' logs in by 'exec'.*a token"),
        ({"auth-provider": {"name": "gcp"}}, "'here' logs in by 'auth-provider'.*a token"),
        ({}, "'here' has neither a client certificate nor a token"),
        ({"client-certificate-data": "Zm9v"}, "neither a client certificate nor a token"),
    ],
)
def test_other_ways_are_refused_with_what_to_do(tmp_path: Path, user: dict[str, Any], words: str) -> None:
    with pytest.raises(KubeconfigError, match=words):
        Api(written(tmp_path, user))


def test_a_context_that_names_nobody_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"token": "x"})
    path.write_text(path.read_text().replace("user: u", "user: nobody"))
    with pytest.raises(KubeconfigError, match="no user 'nobody'"):
        access_of(path)


def test_who_knows_only_certificates_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="needs a client certificate"):
        access(written(tmp_path, {"token": "x"}))


class _Echo(BaseHTTPRequestHandler):
    """Answers with what it was told about who asks."""

    def do_GET(self) -> None:
        body = json.dumps({"who": self.headers["authorization"]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def test_the_client_sends_the_token(tmp_path: Path, server: str) -> None:
    with Api(written(tmp_path, {"token": "secret"}, {"server": server})) as api:
        assert api.get("Namespace", None, "x") == {"who": "Bearer secret"}
