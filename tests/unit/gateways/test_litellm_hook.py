"""What the hook for LiteLLM reads and chooses. Real proxies run it in tests/component/model_litellm."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import random
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from sophia_operator import gateways
from sophia_operator.core.model import names
from sophia_operator.core.model.litellm_series import deployment_id, group
from sophia_operator.core.model.render.litellm import HOOK_KEY, TABLE_KEY, litellm_data
from sophia_operator.gateways import litellm_hook
from tests.support.litellm_route import model, route

_MODELS = [model("primary", "http://10.0.0.1/v1", key=True), model("standby", "http://10.0.0.2/v1")]
_MODELS += [model("spare", "http://10.0.0.3/v1")]


def _text(shares: dict[str, int], fallbacks: tuple[str, ...] = (), revision: int = 7) -> str:
    return litellm_data(route(_MODELS, shares, fallbacks=fallbacks, revision=revision))[TABLE_KEY]


def _table(shares: dict[str, int], fallbacks: tuple[str, ...] = ()) -> litellm_hook.Table:
    return litellm_hook.parse(_text(shares, fallbacks))


def test_a_table_is_read_as_it_was_rendered() -> None:
    table = _table({"primary": 95, "standby": 5, "spare": 0}, ("standby", "spare"))
    assert (table.route, table.revision, table.fallbacks) == ("chat", 7, ("standby", "spare"))
    assert table.shares == {"primary": 95, "standby": 5}
    primary = table.deployments["primary"]
    assert (primary.id, primary.group) == (deployment_id("shop", "chat", "primary"), group("chat", "primary"))
    assert primary.key_variable == "MODEL_KEY_CHAT__PRIMARY"
    assert table.deployments["standby"].key_variable is None


@pytest.mark.parametrize(
    ("shares", "fallbacks", "asked", "wanted"),
    [
        ({"primary": 100}, (), "chat", ("primary", [])),
        ({"primary": 100}, ("standby", "spare"), "chat", ("primary", ["standby", "spare"])),
        ({"primary": 100}, ("standby",), "chat/standby", ("standby", ["primary"])),
        ({"primary": 100}, ("standby", "primary"), "chat/standby", ("standby", ["primary"])),
        ({"primary": 100}, ("standby",), "chat/gone", ("primary", ["standby"])),
        ({"primary": 100}, ("standby",), "chat/", ("primary", ["standby"])),
        ({"primary": 100}, (), "chatter", None),
        ({"primary": 100}, (), "other/primary", None),
        ({}, (), "other", None),
    ],
)
def test_requests_get_a_model_and_those_after_it(
    shares: dict[str, int], fallbacks: tuple[str, ...], asked: str, wanted: tuple[str, list[str]] | None
) -> None:
    assert litellm_hook.choose(_table(shares, fallbacks), asked, random.Random(1)) == wanted


def test_shares_are_kept_and_the_leader_stands_behind_a_newcomer() -> None:
    table, chance = _table({"primary": 75, "standby": 25}, ("spare",)), random.Random(1)
    chosen = [litellm_hook.choose(table, "chat", chance) for _ in range(4000)]
    assert {(found[0], tuple(found[1])) for found in chosen if found} == {
        ("primary", ("spare",)),
        ("standby", ("primary", "spare")),
    }
    assert 900 <= Counter(found[0] for found in chosen if found)["standby"] <= 1100


def test_nothing_is_chosen_while_nothing_serves() -> None:
    with pytest.raises(LookupError, match="no model of chat serves yet"):
        litellm_hook.choose(_table({}), "chat/primary", random.Random(1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("[]", "no table of a route"),
        ("{}", "no table of a route: KeyError"),
        (_text({"primary": 100}).replace('"format": 1', '"format": 2'), "format is 2.*restart the proxy"),
        (_text({"primary": 100}).replace('"primary": 100', '"gone": 100'), "does not describe: gone"),
        (_text({"primary": 100}, ("standby",)).replace('"standby"', "{}", 1), "no table of a route: TypeError"),
    ],
)
def test_what_is_no_table_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        litellm_hook.parse(text)


def test_a_file_is_read_again_only_when_it_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "route.json"
    path.write_text(_text({"primary": 100}))
    file = litellm_hook.TableFile(path)
    first, reads = file.table(), list[str]()
    parse = litellm_hook.parse

    def counted(text: str) -> litellm_hook.Table:
        reads.append(text)
        return parse(text)

    monkeypatch.setattr(litellm_hook, "parse", counted)
    assert file.table() is first
    assert not reads
    # As kubelet does it: another file at the same path. Even of the same size and time.
    other = tmp_path / "other"
    other.write_text(_text({"standby": 100}, revision=8))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert file.table().shares == {"standby": 100}
    assert len(reads) == 1


def test_a_broken_file_keeps_the_last_table_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "route.json"
    path.write_text(_text({"primary": 100}))
    file = litellm_hook.TableFile(path)
    good = file.table()
    with caplog.at_level(logging.ERROR):
        path.write_text("{")
        assert [file.table() for _ in range(3)] == [good] * 3
        path.unlink()
        assert [file.table() for _ in range(3)] == [good] * 3
    assert ["revision 7 stays" in record.message for record in caplog.records] == [True, True]
    path.write_text(_text({"standby": 100}, revision=9))
    assert file.table().revision == 9


def test_a_proxy_does_not_start_without_a_table(tmp_path: Path) -> None:
    (tmp_path / "route.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        litellm_hook.TableFile(tmp_path / "route.json")


def test_names_are_those_of_the_operator() -> None:
    assert (litellm_hook.REVISION_HEADER, litellm_hook.MODEL_HEADER) == (names.REVISION_HEADER, names.MODEL_HEADER)
    assert litellm_data(route(_MODELS, {}))[HOOK_KEY] == gateways.LITELLM_HOOK
    assert Path(litellm_hook.__file__).read_text() == gateways.LITELLM_HOOK


def test_it_loads_as_litellm_loads_it_without_a_place_among_modules(tmp_path: Path) -> None:
    (tmp_path / HOOK_KEY).write_text(gateways.LITELLM_HOOK)
    spec = importlib.util.spec_from_file_location("sophia_route", tmp_path / HOOK_KEY)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "sophia_route" not in sys.modules
    assert module.parse(_text({"primary": 100})).revision == 7


def test_what_answered_is_looked_up_when_it_is_sent() -> None:
    answer = SimpleNamespace(_hidden_params={"model_id": "shop/chat/primary"})
    header = litellm_hook._WhoAnswered.of(answer, "shop/chat/")
    assert header == "primary"
    answer._hidden_params = {"model_id": "shop/chat/standby"}
    assert header.encode("latin-1") == b"standby"


def test_the_configuration_has_every_model_and_no_key() -> None:
    data = litellm_data(route(_MODELS, {"primary": 100}))
    config = json.loads("".join(line for line in data["config.yaml"].splitlines() if not line.startswith("#")))
    keys = {found["model_info"]["id"]: found["litellm_params"]["api_key"] for found in config["model_list"]}
    assert keys == {
        "shop/chat/primary": "os.environ/MODEL_KEY_CHAT__PRIMARY",
        "shop/chat/standby": "none",
        "shop/chat/spare": "none",
    }
    table = json.loads(data[TABLE_KEY])["models"]
    for found in config["model_list"]:
        told = table[found["model_name"].removeprefix("chat/")]
        assert told["params"] == {k: v for k, v in found["litellm_params"].items() if k != "api_key"}
        assert told["info"] == {k: v for k, v in found["model_info"].items() if k != "id"}
    assert config["router_settings"]["num_retries"] == 0
    assert config["litellm_settings"]["require_auth_for_metrics_endpoint"] is False


def test_the_only_model_is_asked_whatever_it_did() -> None:
    alone = json.loads(litellm_data(route(_MODELS[:1], {"primary": 100}))[TABLE_KEY])["models"]["primary"]["info"]
    assert "allowed_fails_policy" not in alone
    assert alone["allowed_fails"] > 1000


def test_a_model_that_was_removed_is_in_no_table() -> None:
    told = json.loads(_text({"primary": 90, "gone": 10}, ("gone", "standby")))
    assert (set(told["shares"]), told["fallbacks"]) == ({"primary", "standby", "spare"}, ["standby"])
