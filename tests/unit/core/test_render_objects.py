"""The whole set of objects: their order, their marks, and what is deleted, or never is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_operator.api.release import Color
from sophia_operator.core import names
from sophia_operator.core.placement import Placement
from sophia_operator.core.render import ChildRef
from tests.golden import cases

Object = dict[str, Any]


def key(obj: Object) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


@pytest.mark.parametrize("name", cases.CASES)
def test_chains_are_there_before_pods_and_the_traffic_is_moved_before_anything_is_scaled(name: str) -> None:
    kinds = [o["kind"] for o in cases.load(name).render().objects]
    assert kinds == sorted(kinds, key=["Service", "HTTPRoute", "ConfigMap", "Deployment"].index)


@pytest.mark.parametrize("name", cases.CASES)
def test_every_object_is_marked_and_owned(name: str) -> None:
    case = cases.load(name)
    uids = {r.name: r.uid for r in case.observed.releases}
    objects = case.render().objects
    assert len({key(o) for o in objects}) == len(objects)
    for obj in objects:
        meta = obj["metadata"]
        assert meta["namespace"] == case.service.namespace
        component = meta["labels"]["app.kubernetes.io/component"]
        assert meta["labels"].items() >= names.common_labels(case.service.name, component).items()
        owner, *others = meta["ownerReferences"]
        if obj["kind"] in ("Deployment", "ConfigMap"):
            release = meta["labels"][names.LABEL_RELEASE]
            assert (owner["kind"], owner["name"], owner["uid"]) == ("Release", release, uids[release])
            assert [(o["kind"], o["uid"]) for o in others] == [("ManagedService", case.service.uid)]
            assert not any("controller" in o for o in others)
        else:
            assert not others
            assert (owner["kind"], owner["uid"]) == ("ManagedService", case.service.uid)
        if obj["kind"] == "Deployment":
            assert meta["name"] == meta["labels"][names.LABEL_RELEASE]
            selector = obj["spec"]["selector"]["matchLabels"].items()
            assert selector <= obj["spec"]["template"]["metadata"]["labels"].items()
        assert owner["apiVersion"] == "sophia.ai/v1alpha1"
        assert owner["controller"] is True
        assert len(meta["name"]) <= 63
        assert all(len(v) <= 63 for v in meta["labels"].values())


RELEASES = [r.name for r in cases.load("promoted-previous-kept").observed.releases]
occupants = st.none() | st.sampled_from([*RELEASES, "chat-gone"])
placements = st.builds(
    Placement,
    releases=st.fixed_dictionaries({Color.BLUE: occupants, Color.GREEN: occupants}),
    weights=st.sampled_from([0, 10, 50, 100]).map(lambda w: {Color.BLUE: 100 - w, Color.GREEN: w})
    | st.just({Color.BLUE: 0, Color.GREEN: 0}),
    replicas=st.dictionaries(st.sampled_from([*RELEASES, "chat-gone"]), st.integers(0, 3)),
    candidate=st.none() | st.sampled_from(Color),
)
refs = st.builds(
    ChildRef,
    api_version=st.just("v1"),
    kind=st.sampled_from(["Deployment", "Service", "HTTPRoute", "ConfigMap", "Secret", "Release", "Pod", "Job"]),
    name=st.sampled_from(
        ["chat", "chat-blue", "chat-green", "chat-blue-check", "chat-old", "chat-gone", "chat-copy", *RELEASES]
    ),
)
routed = st.booleans()


@given(placement=placements, existing=st.lists(refs, max_size=12), gateway=routed)
def test_what_is_deleted(placement: Placement, existing: list[ChildRef], gateway: bool) -> None:
    raw = cases.read("promoted-previous-kept")
    if not gateway:
        raw["service"]["spec"]["traffic"] = {"none": {}}
    case = replace(cases.parse(raw), placement=placement, existing=tuple(existing))
    desired = case.render()
    deleted = {(r.kind, r.name) for r in desired.delete}
    serving = sum(placement.weights.values()) > 0

    assert len(desired.delete) == len(deleted), "each once"
    assert set(desired.delete) <= set(existing), "only what is there"
    assert not deleted & {key(o) for o in desired.objects}
    assert all(kind in ("Deployment", "Service", "HTTPRoute", "ConfigMap", "Secret") for kind, _ in deleted)
    assert ("Service", "chat-blue") not in deleted
    assert ("Service", "chat-green") not in deleted
    if not serving:
        assert not deleted
    for release in (*placement.releases.values(), *placement.replicas):
        assert ("Deployment", release) not in deleted
    assert (("HTTPRoute", "chat") in deleted) is (
        serving and not gateway and any(r.kind == "HTTPRoute" and r.name == "chat" for r in existing)
    )
    if serving:
        stray = {(r.kind, r.name) for r in existing if r.name in ("chat-old", "chat-copy")}
        assert {k for k in stray if k[0] not in ("Release", "Pod", "Job")} <= deleted


@given(placement=placements, existing=st.lists(refs, max_size=12))
def test_nothing_that_may_serve_is_turned_away_while_it_is_unknown_what_serves(
    placement: Placement, existing: list[ChildRef]
) -> None:
    unknown = replace(placement, weights={Color.BLUE: 0, Color.GREEN: 0})
    case = replace(cases.load("promoted-previous-kept"), placement=unknown, existing=tuple(existing))
    objects = case.render().objects
    present = {(r.kind, r.name) for r in existing}
    for obj in objects:
        if obj["kind"] == "Service" and obj["spec"]["selector"][names.LABEL_RELEASE] == "none":
            assert key(obj) not in present
    assert not [o for o in objects if o["kind"] == "HTTPRoute"]


def test_a_service_that_waited_is_pointed_at_the_first_release() -> None:
    """The Services are there from the first pass on, when there was no release to select."""
    names_there = ("chat-blue", "chat-green", "chat-blue-check", "chat-green-check")
    existing = tuple(ChildRef("v1", "Service", name) for name in names_there)
    objects = replace(cases.load("first-release"), existing=existing).render().objects
    selected = {key(o): o["spec"]["selector"] for o in objects if o["kind"] == "Service"}
    at_first = names.pod_selector("chat", "chat-1")
    assert selected == {("Service", "chat-blue"): at_first, ("Service", "chat-blue-check"): at_first}


@given(placement=placements)
def test_services_and_sizes_follow_the_placement(placement: Placement) -> None:
    case = replace(cases.load("promoted-previous-kept"), placement=placement, existing=())
    objects = {key(o): o for o in case.render().objects}
    for color in Color:
        for name in (f"chat-{color.value}", f"chat-{color.value}-check"):
            selector = objects["Service", name]["spec"]["selector"]
            assert selector == names.pod_selector("chat", placement.releases[color] or "none")
    sizes = {name: o["spec"]["replicas"] for (kind, name), o in objects.items() if kind == "Deployment"}
    assert sizes == {name: size for name, size in placement.replicas.items() if name in RELEASES}


@pytest.mark.parametrize(
    ("weights", "selected"), [((100, 0), "indexer-1"), ((0, 100), "indexer-2"), ((90, 10), "indexer-1")]
)
def test_the_plain_service_selects_what_serves(weights: tuple[int, int], selected: str) -> None:
    case = cases.load("traffic-none")
    placement = replace(case.placement, weights=dict(zip(Color, weights, strict=True)))
    objects = {key(o): o for o in replace(case, placement=placement).render().objects}
    assert objects["Service", "indexer"]["spec"]["selector"][names.LABEL_RELEASE] == selected


def test_there_is_one_way_in() -> None:
    """A plain Service beside a route would dodge the weights."""
    for name in cases.CASES:
        case = cases.load(name)
        found = {key(o) for o in case.render().objects} & {
            ("Service", case.service.name),
            ("HTTPRoute", case.service.name),
        }
        assert len(found) <= 1


def test_copies_are_kept_while_any_release_that_uses_them_lives() -> None:
    """A release that ended may be retried, or rolled back to, and its source has changed since."""
    case = cases.load("config-copies")
    used = {(v.kind.value, v.copy_name) for r in case.observed.releases for v in r.spec.snapshot.config}
    existing = tuple(ChildRef("v1", kind, name) for kind, name in used)
    assert replace(case, existing=existing).render().delete == ()
    without_first = replace(case.observed, releases=case.observed.releases[1:])
    gone = replace(case, existing=existing, observed=without_first).render().delete
    assert [r.name for r in gone] == ["chat-settings-aaaaaaaaaa"]


def test_copies_are_made_for_releases_with_pods_only() -> None:
    """The source of a release that ended may have changed since: its copy could not be made any more."""
    case = cases.load("config-copies")
    unsized = dict.fromkeys(case.placement.replicas, 0)
    ended = replace(case, placement=replace(case.placement, replicas=unsized, weights={Color.BLUE: 0, Color.GREEN: 0}))
    assert case.render().config_copies
    assert ended.render().config_copies == ()


def test_what_serves_has_its_copies_at_size_zero_too() -> None:
    """Its source may have changed when the service is scaled up again, and then nothing could serve any more."""
    case = cases.load("config-copies")
    unsized = dict.fromkeys(case.placement.replicas, 0)
    serves = replace(case.placement, replicas=unsized, weights={Color.BLUE: 0, Color.GREEN: 100})
    copies = replace(case, placement=serves).render().config_copies
    green = next(r for r in case.observed.releases if r.name == case.placement.releases[Color.GREEN])
    assert {c.copy_name for c in copies} == {v.copy_name for v in green.spec.snapshot.config}
