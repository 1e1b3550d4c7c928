"""Objects that Services are named after: their names must fit into those of all their children."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import Field, field_validator

from sophia_operator.api.common import PRESERVE_UNKNOWN, ApiModel, rules

#: `<name>-green-check` and `<name>-pool-binding`, the longest children whose names are DNS labels of at most 63
#: characters, must fit.
MAX_NAME_LENGTH: Final = 50
_LENGTH_RULE: Final = f"name must be at most {MAX_NAME_LENGTH} characters, so that the names of its children fit"
_FORM: Final = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_FORM_RULE: Final = "name must start with a letter and hold only a-z, 0-9 and -, since Services are named after it"

#: Name of an object whose children are named after it, where another object names it.
ParentName = Annotated[str, Field(pattern=f"^{_FORM}$", min_length=1, max_length=MAX_NAME_LENGTH)]


#: CEL rules on the whole object.
NAMED: Final = rules(
    (f"self.metadata.name.size() <= {MAX_NAME_LENGTH}", _LENGTH_RULE),
    (f"self.metadata.name.matches('^{_FORM}$')", _FORM_RULE),
)


class NamedObject(ApiModel):
    """A whole object whose children are named after it."""

    model_config = ApiModel.model_config | {"json_schema_extra": NAMED}

    api_version: str = Field(description="sophia.ai/v1alpha1.")
    metadata: dict[str, Any] = Field(json_schema_extra=PRESERVE_UNKNOWN, description="Metadata of the object.")

    @field_validator("metadata")
    @classmethod
    def _children_can_be_named_after_it(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        name = str(metadata.get("name", "unnamed"))
        if len(name) > MAX_NAME_LENGTH:
            raise ValueError(_LENGTH_RULE)
        if not re.fullmatch(_FORM, name):
            raise ValueError(_FORM_RULE)
        return metadata
