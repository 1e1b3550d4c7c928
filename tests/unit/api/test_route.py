"""Rules of a route are checked, and stay as users wrote them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sophia_operator.api.traffic import RouteRule

_RULE: dict[str, Any] = {
    "matches": [{"path": {"value": "/shop"}, "later": 1}],
    "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "shop.internal", "later": True}}],
    "timeouts": {"request": "10s", "later": "1s"},
}


def test_nothing_is_added_and_nothing_is_lost() -> None:
    rule = RouteRule.model_validate(_RULE)
    assert rule.to_dict() == _RULE
    assert rule.matches == _RULE["matches"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"matches": [{}, {"path": {"type": "Prefix", "value": "/"}}]}, ("matches", 1, "path", "type")),
        ({"matches": [{"query_params": [], "queryParams": "none"}]}, ("matches", 0, "queryParams")),
        ({"matches": [{"path": {"value": "/shop\n"}}]}, ("matches", 0, "path")),
        (
            {"filters": [{"type": "RequestRedirect", "requestRedirect": {"port": "80"}}]},
            ("filters", 0, "requestRedirect", "port"),
        ),
        ({"timeouts": {"request": "100ms", "backendRequest": "1s"}}, ("timeouts",)),
    ],
)
def test_what_is_wrong_is_named_where_it_is(change: dict[str, Any], path: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        RouteRule.model_validate(_RULE | change)
    assert caught.value.errors()[0]["loc"] == path


@pytest.mark.parametrize("request_limit", ["0s", "0h0m", "1m", "60s", "59s1000ms"])
def test_a_try_of_a_minute_fits_into_a_minute_and_into_no_limit(request_limit: str) -> None:
    timeouts = {"request": request_limit, "backendRequest": "1m"}
    assert RouteRule.model_validate({"timeouts": timeouts}).timeouts == timeouts
