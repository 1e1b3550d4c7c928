"""Secrets that an object works with: those that people gave, and those that the operator makes.

They are read when the watch says that one changed, and kept in memory only.
"""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Cluster, ClusterError, Object, ObjectRef, Refusal
from sophia_operator.runtime.apply import Owner
from sophia_operator.runtime.ownership import describe_owner
from sophia_operator.runtime.slim import config_hash
from sophia_operator.runtime.store import ObjectStore

logger = logging.getLogger(__name__)

_BYTES: Final = 32
Content = Mapping[str, bytes]


class MissingError(Exception):
    """Something that the object needs is not there."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.blocker = Blocker(reason, message)


@contextmanager
def noting(blockers: list[Blocker]) -> Iterator[None]:
    """Take note of what is missing, and go on: people are told of everything at once."""
    try:
        yield
    except MissingError as missing:
        blockers.append(missing.blocker)


def refused(error: ClusterError, noun: str) -> Blocker:
    """What to say when the API server refuses what the object's Secrets need; raises what passes by itself."""
    if error.refusal not in (Refusal.FORBIDDEN, Refusal.INVALID):
        raise error
    return Blocker(Reason.API_ERROR, f"the API server refuses what the {noun}'s Secrets need: {error.message}"[:4096])


class SecretReader:
    """Reads what one object works with, and makes what is the operator's to make."""

    def __init__(self, cluster: Cluster, store: ObjectStore, note: Callable[[Mapping[str, Any]], object]) -> None:
        self._cluster = cluster
        self._store = store
        self._note = note
        #: By the Secret's name: the hash that the watch gave, and the content.
        self._content: dict[str, tuple[str, Content]] = {}

    def keep_only(self, names: Collection[str]) -> None:
        """Forget the content of every other Secret."""
        self._content = {name: known for name, known in self._content.items() if name in names}

    async def given(self, namespace: str, name: str, field: str) -> Content:
        """The content of a Secret that that field of the spec names. Raises MissingError and ClusterError."""
        content = None
        if self._store.config_hash("Secret", namespace, name) is not None:
            content = await self.load(namespace, name)
        if content is None:
            raise MissingError(
                Reason.SECRET_NOT_FOUND, f"Secret {namespace}/{name}, named in {field}, is missing: create it"
            )
        return content

    async def own(
        self, owner: Owner, metadata: Mapping[str, Any], keys: Collection[str], consequence: str
    ) -> tuple[dict[str, str], int]:
        """The passwords that the operator made, by key, and how many writes that took. `consequence` says what follows
        when they are made anew. Raises MissingError and ClusterError."""
        name, writes = metadata["name"], 0
        live = self._store.get("Secret", owner.namespace, name)
        if live is None:
            live, writes = await self._make(metadata, keys), 1
        if not owner.has(live):
            message = (
                f"Secret {name} exists and is not this {owner.noun}'s ({describe_owner(live)}): remove it, or rename "
                f"the {owner.kind}"
            )
            raise MissingError(Reason.NOT_OWNED, message)
        content = await self.load(owner.namespace, name) or {}
        made = {key: _made(content.get(key)) for key in keys}
        broken = [key for key, password in made.items() if password is None]
        if broken:
            message = (
                f"Secret {owner.namespace}/{name} has no password in its key {broken[0]}: delete the Secret, and the "
                f"operator makes a new one; {consequence}"
            )
            raise MissingError(Reason.SECRET_KEY_MISSING, message)
        return {key: password or "" for key, password in made.items()}, writes

    async def _make(self, metadata: Mapping[str, Any], keys: Collection[str]) -> Object:
        """The Secret with new passwords, or the one that is there already: the store trails behind then."""
        data = {key: secrets.token_urlsafe(_BYTES).encode() for key in keys}
        obj: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": dict(metadata), "type": "Opaque"}
        obj["data"] = {key: base64.b64encode(value).decode() for key, value in data.items()}
        try:
            made = await self._cluster.create(obj)
            logger.info("made Secret %s", metadata["name"])
        except ClusterError as error:
            if error.refusal is not Refusal.ALREADY_EXISTS:
                raise
            found = await self._cluster.get(ObjectRef("v1", "Secret", metadata["namespace"], metadata["name"]))
            if found is None:
                raise
            made = found
        self._remember(made)
        return made

    async def load(self, namespace: str, name: str) -> Content | None:
        """The content of a Secret, read only when it is another than what is known; None when it is gone. Raises
        ClusterError."""
        wanted = self._store.config_hash("Secret", namespace, name)
        known = self._content.get(name)
        if known is not None and wanted in (known[0], None):
            return known[1]
        found = await self._cluster.get(ObjectRef("v1", "Secret", namespace, name))
        if found is None:
            return None
        return self._remember(found)

    def _remember(self, found: Object) -> Content:
        content = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
        self._note(found)
        self._content[found["metadata"]["name"]] = (config_hash(found) or "", content)
        return content


def _made(value: bytes | None) -> str | None:
    """A password that the operator made, or what somebody put in its place; None when that is no text."""
    try:
        return value.decode() if value else None
    except UnicodeDecodeError:
        return None


def text_of(place: str, content: Content, key: str, field: str, *, other: str = "key") -> str:
    """The text in a key of the Secret `place` (namespace/name), which that field of the spec names. Raises
    MissingError."""
    value = content.get(key)
    if not value:
        what = "has no key" if value is None else "has nothing in its key"
        message = f"Secret {place} {what} {key} ({field}): add it, or name another {other}"
        raise MissingError(Reason.SECRET_KEY_MISSING, message)
    try:
        return value.decode()
    except UnicodeDecodeError:
        message = f"Secret {place}, key {key} ({field}), is no text in UTF-8: correct it"
        # Not from the error, which shows the value.
        raise MissingError(Reason.SECRET_KEY_MISSING, message) from None


def require_pem(place: str, key: str, field: str, text: str, mark: str = "CERTIFICATE-----") -> None:
    """Raise MissingError when the text in that key of a Secret is not in PEM form, as its `mark` says."""
    if mark not in text:
        message = f"Secret {place}, key {key} ({field}), is not in PEM form: correct it"
        raise MissingError(Reason.SECRET_KEY_MISSING, message)


def certificate_of(place: str, content: Content, chain_key: str, key_key: str, field: str) -> tuple[str, str]:
    """A certificate and its key, both in PEM form. Raises MissingError."""
    chain, key = (text_of(place, content, part, field, other="Secret") for part in (chain_key, key_key))
    require_pem(place, chain_key, field, chain)
    require_pem(place, key_key, field, key, "PRIVATE KEY-----")
    if "ENCRYPTED" in key:
        message = f"Secret {place}, key {key_key} ({field}), asks for a passphrase: give the key without one"
        raise MissingError(Reason.SECRET_KEY_MISSING, message)
    return chain, key
