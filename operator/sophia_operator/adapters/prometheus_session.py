"""A session with one Prometheus: credentials, TLS files, and bounds on what a server can make us do."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import requests
from prometheus_api_client.prometheus_connect import PrometheusConnect
from urllib3.util.retry import Retry

_LARGEST_ANSWER: Final = 4 * 1024 * 1024
_CONNECT_SECONDS: Final = 5
_HEADER_SAFE: Final = re.compile(rb"[\x21-\x7e]+")
_KEYS: Final = ("token", "username", "password", "ca.crt", "tls.crt", "tls.key")


class CredentialsError(Exception):
    """A Secret cannot be used; the message says why, and never what it holds."""


class HttpStatusError(Exception):
    """The server answered with another status than 200."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a Secret says of how to ask. Its values are in no representation."""

    token: bytes | None = field(default=None, repr=False)
    basic: tuple[bytes, bytes] | None = field(default=None, repr=False)
    ca: bytes | None = field(default=None, repr=False)
    client: tuple[bytes, bytes] | None = field(default=None, repr=False)
    #: Tells credentials apart, so that a session ends when its Secret changes.
    fingerprint: bytes = b""

    @classmethod
    def parse(cls, data: Mapping[str, bytes]) -> Credentials:
        """Read `token`, or `username` and `password`; `ca.crt`, `tls.crt`, `tls.key`. Raises CredentialsError."""
        known = {key: data[key] for key in _KEYS if data.get(key)}
        if not known:
            raise CredentialsError(f"has none of {', '.join(_KEYS)}")
        for one, other in (("username", "password"), ("tls.crt", "tls.key")):
            if (one in known) != (other in known):
                raise CredentialsError(f"{one} and {other} go together")
        if "token" in known and "username" in known:
            raise CredentialsError("has both a token and a user name: keep one")
        token = known["token"].strip() if "token" in known else None
        if token is not None and not _HEADER_SAFE.fullmatch(token):
            raise CredentialsError("the token has characters that no header can hold")
        return cls(
            token=token,
            basic=(known["username"], known["password"]) if "username" in known else None,
            ca=known.get("ca.crt"),
            client=(known["tls.crt"], known["tls.key"]) if "tls.crt" in known else None,
            fingerprint=_fingerprint(known),
        )


def _fingerprint(data: Mapping[str, bytes]) -> bytes:
    digest = hashlib.sha256()
    for key, value in sorted(data.items()):
        digest.update(f"{key}:{len(value)}:".encode() + value)
    return digest.digest()


class _TlsFiles:
    """Certificates and keys as files that only this user can read; requests takes nothing else.

    They are removed at the latest when the program ends.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="sophia-prometheus-"))
        self.remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def write(self, name: str, content: bytes) -> str:
        path = self._folder / name
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
        return str(path)


class _BoundedSession(requests.Session):
    """Sends parameters in the body, so that long queries pass every proxy; follows no redirect, keeps no cookie, reads
    no environment, and gives up on answers that are too large or come too slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, method: str | bytes, url: str | bytes, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Raises HttpStatusError unless the answer is 200, and requests.RequestException."""
        deadline = time.monotonic() + kwargs["timeout"][1]
        changes = {"data": kwargs.pop("params", None), "allow_redirects": False, "stream": True}
        with super().request(method, url, **(kwargs | changes)) as answer:
            body = bytearray()
            for chunk in answer.iter_content(65_536):
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    raise requests.exceptions.ContentDecodingError("too large")
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout("too slow")
            if answer.status_code != 200:
                raise HttpStatusError(answer.status_code, bytes(body))
        whole = requests.Response()
        whole.status_code, whole.encoding, whole.raw = answer.status_code, "utf-8", BytesIO(body)
        return whole


class PrometheusSession:
    """Connections to one Prometheus with one set of credentials. Usable from several threads."""

    def __init__(self, url: str, credentials: Credentials | None) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._retired = False
        self._session = _BoundedSession()
        self._files: _TlsFiles | None = None
        headers: dict[str, str] = {}
        auth: tuple[bytes, bytes] | None = None
        if credentials is not None:
            auth = credentials.basic
            if credentials.token is not None:
                headers["Authorization"] = f"Bearer {credentials.token.decode('ascii')}"
            if credentials.ca is not None or credentials.client is not None:
                self._files = self._use_tls(credentials)
        self._client = PrometheusConnect(
            url=url.rstrip("/"),
            headers=headers,
            auth=auth,
            session=self._session,
            # One try a look: the next look is the retry.
            retry=Retry(total=0, redirect=False),
            method="POST",
        )

    def _use_tls(self, credentials: Credentials) -> _TlsFiles:
        files = _TlsFiles()
        if credentials.ca is not None:
            self._session.verify = files.write("ca.crt", credentials.ca)
        if credentials.client is not None:
            certificate, key = credentials.client
            self._session.cert = (files.write("tls.crt", certificate), files.write("tls.key", key))
        return files

    def query(self, query: str, timeout_seconds: int) -> Any:
        """`data.result` of an instant query. Blocks.

        Raises HttpStatusError; requests.RequestException and OSError for the network; ValueError, KeyError and
        TypeError for an answer that is not Prometheus's.
        """
        timeout = (min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds)
        with self._lock:
            self._users += 1
        try:
            return self._client.custom_query(query, params={"timeout": f"{timeout_seconds}s"}, timeout=timeout)
        finally:
            with self._lock:
                self._users -= 1
                unused = self._retired and self._users == 0
            if unused:
                self.close()

    def retire(self) -> None:
        """Close it as soon as no thread uses it."""
        with self._lock:
            self._retired = True
            unused = self._users == 0
        if unused:
            self.close()

    def close(self) -> None:
        """Close idle connections and remove the files."""
        self._session.close()
        if self._files is not None:
            self._files.remove()
