"""Cases of rendering a pool: a folder each, with `in.yaml` (what there is) and `out.yaml` (what should be rendered).

`in.yaml` holds `about` (what the case shows), `pool` as users see it, `access` (None: a Secret is missing), and
`certificate` (the certificate for clients). Whatever a case is not about is left out and filled in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.core.pool import names
from sophia_operator.core.pool.render import render
from sophia_operator.core.pool.views import Access, Certificate, PoolDesired, PoolObserved, PoolView
from tests.golden.plain import in_plain_text

FOLDER: Final = Path(__file__).parent / "pool"
CASES: Final = sorted(path.parent.name for path in FOLDER.glob("*/in.yaml"))
DEFAULT_IMAGE: Final = "registry.example/pgbouncer:1.18.0"

_LONG_AGO: Final = datetime(2025, 1, 1, tzinfo=UTC)
_DATABASE: Final = {"host": "db.shop.svc", "name": "orders", "credentialsSecretRef": {"name": "orders-db"}}
_ACCESS: Final = {
    "username": "orders_app",
    "password": "of-the-server",
    "client_password": "of-applications",
    "admin_password": "of-the-operator",
}


@dataclass(frozen=True)
class Case:
    """One case, parsed."""

    pool: PoolView
    observed: PoolObserved

    def render(self) -> PoolDesired:
        return render(self.pool, self.observed, DEFAULT_IMAGE)


def load(name: str) -> Case:
    """The case in the folder of that name."""
    raw: dict[str, Any] = yaml.safe_load((FOLDER / name / "in.yaml").read_text())
    return parse(raw)


def parse(raw: dict[str, Any], namespace: str = "shop") -> Case:
    unknown = raw.keys() - {"about", "pool", "access", "certificate"}
    assert not unknown, f"in.yaml holds what nobody reads: {unknown}"
    given = raw["pool"]
    spec = {"database": _DATABASE} | given.get("spec", {})
    pool = PoolView(
        namespace=namespace,
        name=given["name"],
        uid="00000000-0000-4000-8000-000000000000",
        generation=1,
        resource_version="1",
        created_at=_LONG_AGO,
        spec=ConnectionPoolSpec.model_validate(spec),
        status=ConnectionPoolStatus.model_validate({"size": 20} | given.get("status", {})),
    )
    access = raw.get("access", {})
    return Case(
        pool,
        PoolObserved(
            access=None if access is None else _access(pool.name, access, raw.get("certificate")),
        ),
    )


def _access(pool: str, given: dict[str, Any], certificate: str | None) -> Access:
    shown = Certificate(certificate, f"key of {certificate}") if certificate is not None else None
    return Access(client_username=names.client_user(pool), certificate=shown, **(_ACCESS | given))


def to_yaml(desired: PoolDesired) -> str:
    """What goes into `out.yaml`, with the content of Secrets in plain text."""
    return in_plain_text({"configHash": desired.config_hash}, desired.objects)
