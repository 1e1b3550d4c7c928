"""What receivers are sent, case by case, against the files beside this one.

`UPDATE_GOLDEN=1 uv run pytest tests/golden` writes every file anew; the review happens in the diff.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from sophia_operator.api.recovery_action_status import UntoldChange
from sophia_operator.api.recovery_policy_status import UntoldNews
from sophia_operator.core.recovery.signal_words import SignalMessage, cloud_event, fit, of_change, of_news, slack
from tests.golden.test_render import UPDATE
from tests.support import signal_scene as scene

FOLDER: Final = Path(__file__).parent / "signals"
DID: Final = ["orders-0: RECONNECT orders", "orders-1: RECONNECT orders", "verified by role: primary"]
ENDED: Final = {"claimedAt": "2026-03-01T12:05:00Z", "endedAt": "2026-03-01T12:05:20Z", "did": DID}


def change(phase: str, message: str = "", **more: Any) -> SignalMessage:
    status = {"changes": 4, "message": message, **more.pop("status", {})}
    action = scene.action(phase, status=status, **more)
    return of_change(action, UntoldChange(number=4, phase=action.status.phase, at=scene.later(20), message=message))


def news(**fields: Any) -> SignalMessage:
    policy = scene.policy(scene.hook())
    return of_news(policy, UntoldNews.model_validate({"at": scene.later(30), **fields}))


CASES: Final = {
    "awaiting-approval": change("AwaitingApproval", "kubectl sophia recovery approve act -n shop lets it be done"),
    "claimed": change("Claimed", "claimed at 12:05:00 UTC: it is done once", status={"claimedAt": ENDED["claimedAt"]}),
    "helped": change(
        "Succeeded",
        "the symptom is gone, and the target is healthy by its role, 20 s after it was claimed",
        status={**ENDED, "verified": "Helped"},
    ),
    "worse": change(
        "Failed", "not well 120 s after it was claimed: lag is <12 s> & rises", status={**ENDED, "verified": "Worse"}
    ),
    "dry-run": change("Skipped", "a dry run", status={"would": "RECONNECT would be given"}, dryRun=True),
    "refused-to-a-person": change("Refused", "eve said no", by_person=True, approved=False, approvedBy="eve"),
    "unknown": change("Unknown", "a person has to look whether it was done", status=ENDED),
    "gave-up": news(
        id="uid-pools/gave-up/ConnectionPool/orders/ConnectionLost/2026-03-01T12:04:00Z",
        what="GaveUp",
        severity="Critical",
        kind="ConnectionPool",
        name="orders",
        symptom="ConnectionLost",
        action="act",
        message="Reconnect did not help, and there is no further step: hands off until the symptom is gone",
    ),
    "storm-began": news(id="uid-pools/storm-began/x", what="StormBegan", message="3 of 4 objects show symptoms"),
    "storm-ended": news(id="uid-pools/storm-ended/x", what="StormEnded", message="the operator acts again"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_sent(name: str) -> None:
    file = FOLDER / f"{name}.json"
    both = {"cloudEvent": json.loads(cloud_event(CASES[name])), "slack": json.loads(slack(CASES[name]))}
    text = json.dumps(both, indent=2, ensure_ascii=False) + "\n"
    if UPDATE:
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text)
    assert file.exists(), "new case: write its file with UPDATE_GOLDEN=1, and read it"
    assert text == file.read_text()


def test_there_are_no_other_files() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_event_has_what_the_specification_asks_for(name: str) -> None:
    event = json.loads(cloud_event(CASES[name]))
    assert event["specversion"] == "1.0"
    assert all(isinstance(event[key], str) and event[key] for key in ("id", "source", "type", "subject", "time"))
    assert event["type"].startswith("ai.sophia.recovery.")
    assert event["type"] == event["type"].lower()
    assert event["datacontenttype"] == "application/json"


def test_an_earlier_change_does_not_tell_of_what_was_done_after_it() -> None:
    action = scene.action("Succeeded", status={"changes": 4, **ENDED, "verified": "Helped"})
    message = of_change(action, UntoldChange(number=2, phase="Claimed", at=scene.NOW, message="claimed"))
    assert message.id == "uid-act/2"
    assert message.type == "ai.sophia.recovery.claimed"
    assert not {"did", "verified", "endedAt"} & message.data.keys()
    assert message.did == ()


def test_messages_have_bounds_whatever_their_objects_say() -> None:
    awful = "<!channel> & <https://evil.example|click> ```" * 200
    status = {**ENDED, "did": [awful[:512]] * 16, "would": awful[:4096], "undo": awful[:4096]}
    message = change("Failed", awful[:1024], status=status)
    assert len(cloud_event(message)) < 32 * 1024
    sent = json.loads(slack(message))
    assert len(sent["text"]) <= 1100
    assert "<!channel>" not in slack(message).decode()
    for block in sent["blocks"]:
        for text in [block.get("text"), *block.get("fields", []), *block.get("elements", [])]:
            assert text is None or len(text["text"]) <= (150 if text["type"] == "plain_text" else 3000)
    code = next(b["text"]["text"] for b in sent["blocks"] if "text" in b and b["text"]["text"].startswith("```"))
    assert code.count("```") == 2


@pytest.mark.parametrize(
    ("text", "most", "fitting"),
    [
        ("a & b", 20, "a &amp; b"),
        ("<@U1>", 20, "&lt;@U1&gt;"),
        ("a&b", 7, "a&amp;b"),
        ("a&bc", 7, "a&amp;…"),
        ("a&bc", 6, "a…"),
        ("abcdef", 4, "abc…"),
    ],
)
def test_a_text_is_cut_between_characters(text: str, most: int, fitting: str) -> None:
    assert fit(text, most) == fitting
    assert len(fit(text, most)) <= most
