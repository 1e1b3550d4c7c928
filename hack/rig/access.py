"""How to speak to the API server of a kubeconfig: with a client certificate, a token, or a file that holds one."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

_PROGRAMS: Final = ("exec", "auth-provider")


class KubeconfigError(Exception):
    """The kubeconfig cannot be used; the message says why, and what to do."""


@dataclass(frozen=True)
class Access:
    """URL of an API server, and the way to speak to it.

    `certified` tells whether `tls` shows a client certificate. `token` returns the bearer token of now; None: no token.
    """

    server: str
    tls: ssl.SSLContext
    certified: bool
    token: Callable[[], str] | None = None

    def sign(self, request: httpx.Request) -> httpx.Request:
        """Add the token, if there is one, to a request."""
        if self.token is not None:
            request.headers["authorization"] = f"Bearer {self.token()}"
        return request


def access_of(kubeconfig: Path) -> Access:
    """Access that the current context of a kubeconfig gives. Raises KubeconfigError."""
    config = yaml.safe_load(kubeconfig.read_text())
    name = config.get("current-context")
    context = _named(config, "context", name)
    cluster = _named(config, "cluster", context["cluster"])
    user = _named(config, "user", context["user"])
    folder = kubeconfig.parent
    tls, token = _tls(cluster, folder), _token(user, folder)
    certificate, key = _content(user, "client-certificate", folder), _content(user, "client-key", folder)
    certified = certificate is not None and key is not None
    if not certified and token is None:
        raise KubeconfigError(_why_not(str(name), user))
    if certificate is not None and key is not None:
        _take_pair(tls, certificate, key)
    return Access(str(cluster["server"]), tls, certified, token)


def _named(config: Mapping[str, Any], kind: str, name: str | None) -> Mapping[str, Any]:
    for entry in config.get(f"{kind}s") or ():
        if entry["name"] == name:
            return entry.get(kind) or {}
    raise KubeconfigError(f"The kubeconfig has no {kind} {name!r}.")


def _tls(cluster: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _token(user: Mapping[str, Any], folder: Path) -> Callable[[], str] | None:
    """A file wins over a token, and is read for each request, as kubectl does: whoever wrote it renews it."""
    if path := user.get("tokenFile"):
        return lambda: (folder / path).read_text().strip()
    if token := user.get("token"):
        return lambda: str(token)
    return None


def _content(entry: Mapping[str, Any], key: str, folder: Path) -> bytes | None:
    """What the entry holds itself, or the file that it names, seen from the kubeconfig's own folder."""
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(data)
    return (folder / path).read_bytes() if (path := entry.get(key)) else None


def _take_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # load_cert_chain reads files only.
    with tempfile.NamedTemporaryFile("wb", suffix=".pem") as pair:
        pair.write(certificate.rstrip() + b"\n" + key)
        pair.flush()
        context.load_cert_chain(pair.name)


def _why_not(context: str, user: Mapping[str, Any]) -> str:
    program = next((key for key in _PROGRAMS if key in user), None)
    how = (
        f"logs in by {program!r}, which is not run here" if program else "has neither a client certificate nor a token"
    )
    return (
        f"The context {context!r} {how}. Give its user a client certificate, a token or a tokenFile: "
        "`kubectl create token NAME --duration=2h` makes a token for a service account."
    )
