"""Building blocks of every kind: the base model, bounded scalar types, and what marks them up for the CRD."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "sophia.ai"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

#: Marks a schema for the CRD generator.
PRESERVE_UNKNOWN: Final[dict[str, Any]] = {"x-kubernetes-preserve-unknown-fields": True}
ATOMIC_LIST: Final[dict[str, Any]] = {"x-kubernetes-list-type": "atomic"}
SET_LIST: Final[dict[str, Any]] = {"x-kubernetes-list-type": "set"}
INT_OR_STRING: Final[dict[str, Any]] = {"x-kubernetes-int-or-string": True}


def map_list(*keys: str) -> dict[str, Any]:
    """Marks a list whose items are told apart by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def rules(*pairs: tuple[str, str], field: str | None = None) -> dict[str, Any]:
    """CEL rules for the CRD, each a (rule, message) pair. A validator beside it says the same offline.

    `field` is what a refusal names instead of where the rules stand, as in `.spec`.
    """
    path = {} if field is None else {"fieldPath": field}
    return {"x-kubernetes-validations": [{"rule": rule, "message": message, **path} for rule, message in pairs]}


def joined(*several: dict[str, Any]) -> dict[str, Any]:
    """Several of `rules` as one."""
    return {"x-kubernetes-validations": [rule for one in several for rule in one["x-kubernetes-validations"]]}


class ApiModel(BaseModel):
    """A part of an object as users write it: camelCase outside, snake_case inside, frozen.

    Unknown fields are ignored, so that an older operator reads objects of a newer CRD.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_enum_values=False
    )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: camelCase keys, no nulls, times as RFC 3339 strings."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


DECIMAL_PATTERN: Final = r"^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$"
UNSIGNED_DECIMAL_PATTERN: Final = r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$"
DNS_LABEL_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
HOSTNAME_PATTERN: Final = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUALIFIED_NAME_PATTERN: Final = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
HASH_PATTERN: Final = r"^v1:[0-9a-f]{64}$"

#: Numbers with fractions are strings: CRDs carry no floats.
DecimalString = Annotated[str, Field(pattern=DECIMAL_PATTERN, max_length=20)]
UnsignedDecimalString = Annotated[str, Field(pattern=UNSIGNED_DECIMAL_PATTERN, max_length=20)]
PercentString = Annotated[str, Field(pattern=r"^(100|[1-9]?[0-9])%$", max_length=4)]
DnsLabel = Annotated[str, Field(pattern=DNS_LABEL_PATTERN, min_length=1, max_length=63)]
ObjectName = Annotated[str, Field(pattern=DNS_SUBDOMAIN_PATTERN, min_length=1, max_length=253)]
Hash = Annotated[str, Field(pattern=HASH_PATTERN, max_length=67)]
Message = Annotated[str, Field(max_length=4096)]
Reason = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
Timestamp = datetime
PreservedObject = Annotated[dict[str, Any], Field(json_schema_extra=PRESERVE_UNKNOWN)]


def decimal(value: str) -> Decimal:
    """The number that a DecimalString stands for."""
    return Decimal(value)
