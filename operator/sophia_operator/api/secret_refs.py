"""References to keys of Secrets that several kinds have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sophia_operator.api.common import ApiModel, ObjectName

SecretKey = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)]


class CaRef(ApiModel):
    """A Secret with the certificates that the server's certificate is verified with."""

    name: ObjectName = Field(description="Name of the Secret, in the object's namespace.")
    key: SecretKey = Field("ca.crt", description="Key of the certificates, in PEM form.")
