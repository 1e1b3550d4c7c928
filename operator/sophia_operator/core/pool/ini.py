"""The files of PgBouncer's configuration, with quoting that takes every name and password that PostgreSQL takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sophia_operator.core.hashing import versioned_hash
from sophia_operator.core.pool import names, scram
from sophia_operator.core.pool.logins import unusable
from sophia_operator.core.pool.scripts import DRAIN, START, drain_script, start_script
from sophia_operator.core.pool.settings import (
    CERTIFICATE,
    COMMON,
    FOLDER,
    INI,
    KEY,
    NEWER,
    SERVER_CA,
    USERLIST,
    settings,
)
from sophia_operator.core.pool.shares import share
from sophia_operator.core.pool.target import is_taken_over
from sophia_operator.core.pool.views import Access, PoolObserved, PoolView

#: PgBouncer refuses an empty name; this one stands for "not hashed yet".
_NO_HASH: Final = "none"
_Parts = Mapping[str, str | int]


def config_files(pool: PoolView, observed: PoolObserved) -> tuple[Mapping[str, str], str] | None:
    """The files by name, and the hash that the marker in them shows; None while something that they need is missing.

    The marker is the last line of what is read, so that an instance shows it only when it read all before it.
    """
    access = _usable_access(pool, observed)
    if access is None:
        return None
    marker = _marker(pool, access)
    return files(pool, access, marker), marker


def wanted_config_hash(pool: PoolView, observed: PoolObserved) -> str | None:
    """Hash of the configuration that every instance should run with; None while there is none."""
    access = _usable_access(pool, observed)
    return _marker(pool, access) if access is not None else None


def _usable_access(pool: PoolView, observed: PoolObserved) -> Access | None:
    """With everything that the files need, and taken over; else None."""
    access = observed.access
    if access is None or unusable(access) is not None:
        return None
    if not is_taken_over(pool.status, pool.spec.database, observed):
        return None
    if pool.spec.tls is not None and access.certificate is None:
        return None
    if pool.spec.database.ca_secret_ref is not None and access.ca is None:
        return None
    return access


def _marker(pool: PoolView, access: Access) -> str:
    # The operator's own password is random and part of this, so nobody can guess the others and compare hashes.
    return versioned_hash({"files": files(pool, access, _NO_HASH)})


def files(pool: PoolView, access: Access, marker: str, *, folder: str = FOLDER) -> dict[str, str]:
    """Every file by its name, for a pool that is mounted at `folder`."""
    # PgBouncer resets the settings where their section begins: so it begins once, in the file that is read first.
    base = settings(pool.spec, folder=folder)
    rendered = {
        COMMON: "\n".join([*_lines(base), "[databases]", *_databases(pool, access, marker), ""]),
        INI: beginning({}, folder),
        USERLIST: userlist(access),
        START: start_script(),
        DRAIN: drain_script(pool.spec.database.port),
    }
    for version in NEWER:
        newer = {k: v for k, v in settings(pool.spec, version, folder=folder).items() if k not in base}
        rendered[f"from-{version[0]}.{version[1]}.ini"] = beginning(newer, folder)
    if access.ca is not None:
        rendered[SERVER_CA] = access.ca
    if access.certificate is not None:
        # Beside the rest, though it has a Secret of its own: an instance that shows the marker has read this, too.
        rendered |= {CERTIFICATE: access.certificate.chain, KEY: access.certificate.key}
    return rendered


def userlist(access: Access) -> str:
    """Who may log in, and the password of the user that the pool connects to the server as."""
    own = {access.client_username: access.client_password, names.ADMIN: access.admin_password}
    passwords = {user: scram.kept(user, password, access.admin_password) for user, password in own.items()}
    # With this one PgBouncer itself logs in.
    passwords[access.username] = access.password
    return "".join(f"{_quoted(user, chr(34))} {_quoted(passwords[user], chr(34))}\n" for user in sorted(passwords))


def beginning(newer: Mapping[str, str], folder: str) -> str:
    """What PgBouncer is started with: settings that its version is the first to understand, and then all the others."""
    return "\n".join(["[pgbouncer]", *_lines(newer), f"%include {folder}/{COMMON}", ""])


def _lines(values: Mapping[str, str]) -> list[str]:
    return [f"{name} = {value}".rstrip() for name, value in values.items()]


def _databases(pool: PoolView, access: Access, marker: str) -> list[str]:
    database, part = pool.spec.database, share(pool.spec, pool.status.size)
    server: dict[str, str | int] = {
        "host": database.host,
        "port": database.port,
        "dbname": database.name,
        "user": access.username,
    }
    clients: _Parts = {"pool_size": part.size, "min_pool_size": part.minimum, "reserve_pool": part.reserve}
    # One connection of its own, given back after each check.
    checks: _Parts = {"pool_size": 1, "min_pool_size": 0, "reserve_pool": 0, "pool_mode": "transaction"}
    nowhere: _Parts = {"host": "127.0.0.1", "port": 1, "dbname": marker, "pool_size": 1}
    return [
        _database(database.name, {**server, **clients}),
        _database(names.CHECK_DATABASE, {**server, **checks}),
        _database(names.MARKER_DATABASE, nowhere),
    ]


def _database(name: str, parts: _Parts) -> str:
    values = (f"{key}={_quoted(value, chr(39)) if isinstance(value, str) else value}" for key, value in parts.items())
    return f"{name} = {' '.join(values)}"


def _quoted(text: str, mark: str) -> str:
    """Between marks; inside, a mark stands twice, and nothing else is special."""
    return f"{mark}{text.replace(mark, mark * 2)}{mark}"
