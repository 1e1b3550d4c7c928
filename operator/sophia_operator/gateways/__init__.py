"""What runs inside of gateways that somebody else runs, as text. Nothing of it is imported here."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

#: The module that LiteLLM proxies load.
LITELLM_HOOK: Final = files(__name__).joinpath("litellm_hook.py").read_text(encoding="utf-8")
