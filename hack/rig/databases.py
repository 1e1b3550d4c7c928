"""A PostgreSQL on the cluster: a primary, standbys that a test promotes, and the Services that lead to them.

Its pods are throw-away ones, as a test's are: whoever plays the part of a failover manager is the test itself. Pods
are reached at their own addresses, so this machine must have a way to them for all but starting them.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from hack.rig import database_objects as objects
from hack.rig.api import Api, is_ready
from hack.rig.processes import first_process

#: User and database of applications.
USER: Final = "shop"
DATABASE: Final = "shop"
_SUPERUSER: Final = "postgres"
_ROLE_LABEL: Final = "role"
_PRIMARY: Final = "primary"
_STANDBY: Final = "standby"
_READY_SECONDS: Final = 60.0
_CONNECT_SECONDS: Final = 3
_PROMOTE_SECONDS: Final = 20


@dataclass(frozen=True)
class Promotion:
    """A standby that became the primary. Times are seconds since the epoch."""

    pod: str
    address: str
    asked_at: float
    #: When the server said that it takes writes.
    promoted_at: float
    #: When the Service was told to lead to it.
    moved_at: float


class Database:
    """The servers `pg-0`, `pg-1` and so on; the Services `pg` to the primary and `pg-ro` to standbys; and the Secret
    `pg-credentials` with the applications' user, as users keep one."""

    def __init__(self, api: Api, namespace: str, name: str = "pg", *, reachable: bool = True) -> None:
        """`reachable`: whether this machine has a way to pods. If not, a server counts as up once its pod is ready."""
        self.api = api
        self._reachable = reachable
        self.namespace = namespace
        self.name = name
        self.host = f"{name}.{namespace}.svc"
        self.read_only_host = f"{name}-ro.{namespace}.svc"
        self.credentials = f"{name}-credentials"
        self.tls_secret = f"{name}-tls"
        self.password = secrets.token_urlsafe(18)
        self._admin_password = secrets.token_urlsafe(18)
        self._replication_password = secrets.token_urlsafe(18)
        self._next = 0
        self._settings: dict[str, str] = {}
        self._tls = False

    # -- What is there ------------------------------------------------------------------------------------------------

    def up(self, *, standbys: int = 0, tls: bool = False, **settings: str | int) -> None:
        """Start a primary and standbys, and wait for them. `settings` are variables of the image, as in
        `max_connections=30`; with `tls` the servers have certificates of an authority in the Secret `pg-tls`."""
        self._settings = {key.upper(): str(value) for key, value in settings.items()}
        self._tls = tls
        self._apply_secrets()
        # In a namespace that was just made, a pod without a controller that tries again would be refused.
        self.api.until(
            "the default service account", lambda: self.api.get("ServiceAccount", self.namespace, "default"), seconds=30
        )
        for name, role in ((self.name, _PRIMARY), (f"{self.name}-ro", _STANDBY)):
            self.api.apply(objects.service(name, self.namespace, self._labels(role)))
        self.start(_PRIMARY)
        for _ in range(standbys):
            self.start(_STANDBY)

    def start(self, role: str = _STANDBY) -> str:
        """Start one more server, wait until it takes connections, and return its pod's name."""
        pod = f"{self.name}-{self._next}"
        self._next += 1
        env = {**self._settings, "ROLE": role, "PRIMARY_HOST": self.host}
        tls = self.tls_secret if self._tls else None
        passwords = f"{self.name}-server"
        self.api.apply(objects.pod(pod, self.namespace, self._labels(role), env=env, passwords=passwords, tls=tls))
        try:
            self.api.until(f"{pod} to take connections", lambda: self._answers(pod), seconds=_READY_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self._why(pod)}") from None
        return pod

    def primary(self) -> str:
        """Name of the pod that the Service `pg` leads to."""
        (found,) = self._with_role(_PRIMARY)
        return found

    def standby(self) -> str:
        """Name of a standby's pod."""
        return self._with_role(_STANDBY)[0]

    def address(self, pod: str) -> str:
        """Address of a pod."""
        found = self.api.get("Pod", self.namespace, pod)
        assert found is not None, f"pod {pod} is gone"
        return str(found["status"]["podIP"])

    def connect(self, pod: str, database: str = DATABASE) -> psycopg.Connection[tuple[Any, ...]]:
        """A session of the superuser at one server."""
        return psycopg.connect(
            host=self.address(pod),
            port=objects.PORT,
            user=_SUPERUSER,
            password=self._admin_password,
            dbname=database,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name="rig",
        )

    def query(self, pod: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, on a connection of its own; the rows, if it has any."""
        with self.connect(pod) as connection:
            answer = connection.execute(statement.encode(), values or None)
            return answer.fetchall() if answer.description else []

    def wait_replayed(self, standby: str) -> None:
        """Wait until a standby has replayed all that the primary has written up to now."""
        ((written,),) = self.query(self.primary(), "SELECT pg_current_wal_flush_lsn()::text")
        query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        self.api.until(f"{standby} to catch up", lambda: self.query(standby, query, written) == [(True,)], seconds=30)

    # -- What happens to it -------------------------------------------------------------------------------------------

    def kill(self, pod: str) -> float:
        """Kill a server as a crash does, take its pod away, and return when it died.

        Where its process is not on this machine, the pod is deleted without grace, which is milder: clients are told.
        """
        found = self.api.get("Pod", self.namespace, pod)
        assert found is not None, f"pod {pod} is gone"
        container = found["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        pid = first_process(container)
        died = time.time()
        if pid is not None:
            with suppress(PermissionError, ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.api.delete("Pod", self.namespace, pod, grace_seconds=0)
        return died

    def promote(self, pod: str, *, move: bool = True) -> Promotion:
        """Let a standby become a primary and, unless told otherwise, let the Service lead to it."""
        address = self.address(pod)
        with self.connect(pod) as connection:
            asked = time.time()
            (done,) = connection.execute("SELECT pg_promote(true, %s)", (_PROMOTE_SECONDS,)).fetchone() or (False,)
            promoted = time.time()
        assert done, f"{pod} was not promoted in {_PROMOTE_SECONDS} s"
        if move:
            self.lead_to(pod)
        return Promotion(pod, address, asked, promoted, time.time())

    def lead_to(self, pod: str) -> None:
        """Let the Service `pg` lead to this server and to no other."""
        for other in self._with_role(_PRIMARY):
            if other != pod:
                self._label(other, "former")
        self._label(pod, _PRIMARY)

    def demote(self, pod: str) -> None:
        """Let a primary come back as a standby in its place, behind the same Service, and wait until it did."""
        with self.connect(pod) as connection:
            # The container starts again with the same data, and the server finds that it is a standby.
            program = "touch standby.signal && kill -INT $(head -n 1 postmaster.pid)"
            # The server may go before it answers, or end the program that it started.
            with suppress(psycopg.Error):
                connection.execute(f"COPY (SELECT 1) TO PROGRAM '{program}'".encode())

        def back() -> bool:
            with suppress(psycopg.OperationalError):
                return self.query(pod, "SELECT pg_is_in_recovery()") == [(True,)]
            return False

        self.api.until(f"{pod} to come back as a standby", back, seconds=_READY_SECONDS)

    def read_only(self, pod: str, on: bool) -> None:
        """Let transactions of a primary be read-only by default, or no longer: new sessions, and those that are."""
        value = "on" if on else "off"
        with self.connect(pod) as connection:
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
            connection.execute("SELECT pg_reload_conf()")

    def rotate(self) -> None:
        """Give the applications' user a new password: at the server, then in the Secret."""
        self.password = secrets.token_urlsafe(18)
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(USER), sql.Literal(self.password))
        with self.connect(self.primary()) as connection:
            connection.execute(statement)
        self.set_credentials()

    def set_credentials(self, **changes: str | None) -> None:
        """Write the Secret with the applications' user; `changes` of its keys, None for one to be left out."""
        keys = {"username": USER, "password": self.password, **changes}
        there = {key: value for key, value in keys.items() if value is not None}
        self.api.apply(objects.secret(self.credentials, self.namespace, there))

    def _apply_secrets(self) -> None:
        self.set_credentials()
        own = {
            "ADMIN_PASSWORD": self._admin_password,
            "REPLICATION_PASSWORD": self._replication_password,
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": self.password,
            "POSTGRES_DB": DATABASE,
        }
        self.api.apply(objects.secret(f"{self.name}-server", self.namespace, own))
        if self._tls:
            names = (self.host, self.read_only_host, f"{self.host}.cluster.local")
            self.api.apply(objects.secret(self.tls_secret, self.namespace, objects.certificate(self.name, names)))

    # -- Looks --------------------------------------------------------------------------------------------------------

    def _labels(self, role: str) -> dict[str, str]:
        return {"app": self.name, _ROLE_LABEL: role}

    def _with_role(self, role: str) -> list[str]:
        pods = self.api.list("Pod", self.namespace, f"app={self.name},{_ROLE_LABEL}={role}")
        return sorted(p["metadata"]["name"] for p in pods if not p["metadata"].get("deletionTimestamp"))

    def _label(self, pod: str, role: str) -> None:
        self.api.merge("Pod", self.namespace, pod, {"metadata": {"labels": {_ROLE_LABEL: role}}})

    def _answers(self, pod: str) -> bool:
        found = self.api.get("Pod", self.namespace, pod)
        if found is None or not is_ready(found):
            return False
        if not self._reachable:
            return True
        with suppress(psycopg.OperationalError):
            return bool(self.query(pod, "SELECT 1"))
        return False

    def _why(self, pod: str) -> str:
        found = self.api.get("Pod", self.namespace, pod) or {}
        statuses = (found.get("status") or {}).get("containerStatuses") or []
        return f"{statuses[0].get('state') if statuses else 'its container was not started'}"
