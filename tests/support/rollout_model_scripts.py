"""Short ways through the model that say exactly what happens: each ends where a wrong operator has shown itself."""

from __future__ import annotations

from sophia_operator.api.release import Intent, ReleaseState, ReleaseStatus
from tests.support.rollout_model import Model
from tests.support.rollout_model_api import KINDS
from tests.support.rollout_model_world import RECOVERY

#: What a rollout in the model's menu takes at most, with everybody well.
_LONG_ENOUGH_SECONDS = 60.0
_GLANCE_SECONDS = 0.2


def first_release(model: Model) -> None:
    """app-1 serves, and nothing is under way."""
    model.run(20)
    _expect(model, "app-1", ReleaseState.PROMOTED)


def to_state(model: Model, name: str, state: ReleaseState, seconds: float = _LONG_ENOUGH_SECONDS) -> ReleaseStatus:
    """Until the release is in that state."""
    end = model.world.now.timestamp() + seconds
    while model.world.now.timestamp() < end:
        status = model.status(name)
        if status is not None and status.state is state:
            return status
        model.run(_GLANCE_SECONDS)
    raise AssertionError(f"{name} never came to {state.value}: {model.describe()}")


def to_stage(model: Model, index: int = 0) -> None:
    """app-1 serves, and app-2 has the weight of that stage, observed."""
    change(model)
    for _ in range(int(_LONG_ENOUGH_SECONDS / _GLANCE_SECONDS)):
        model.run(_GLANCE_SECONDS)
        status = model.status("app-2") if "app-2" in model.releases() else None
        stage = status.stage if status is not None and status.state is ReleaseState.SHIFTING else None
        if stage is not None and stage.index == index and stage.effective_at is not None:
            return
    raise AssertionError(f"app-2 never came to stage {index}: {model.describe()}")


def to_the_end(model: Model) -> None:
    """app-2 replaces app-1, all well, and then nothing happens for long."""
    second_release(model)
    model.run(_LONG_ENOUGH_SECONDS)


def long_rest(model: Model) -> None:
    """app-1 serves, and nothing happens."""
    first_release(model)
    model.run(120)


def change(model: Model) -> None:
    """A change is applied, and nothing else happens."""
    first_release(model)
    model.wish_for(image="app:2")


def second_release(model: Model) -> None:
    """app-2 has just replaced app-1, which is kept."""
    change(model)
    model.run(1)
    to_state(model, "app-2", ReleaseState.PROMOTED)
    model.run(10)


def failed_release(model: Model) -> None:
    """app-2 answers with errors, goes back, and time goes by."""
    to_stage(model)
    model.world.faults.failing.add("app:2")
    model.run(_LONG_ENOUGH_SECONDS)


def pods_vanish(model: Model) -> None:
    """app-2 loses every ready pod in mid-rollout."""
    to_stage(model)
    model.world.faults.pods_stuck = True
    model.pods("app-2", 0)
    model.run(5)


def abort_in_mid_rollout(model: Model) -> None:
    """A person stops app-2 while it has a part of the traffic."""
    to_stage(model)
    model.intend("app-2", Intent.ABORT)
    model.run(5)


def abort_of_the_only_release(model: Model) -> None:
    """A person wants to be rid of the one release there is."""
    first_release(model)
    model.intend("app-1", Intent.ABORT)
    model.run(5)


def scale_up(model: Model) -> None:
    """The service grows while nothing else happens."""
    first_release(model)
    model.wish_for(replicas=5)
    model.run(5)


def endpoints_stay_empty(model: Model) -> None:
    """The pods of app-2 are ready, but nobody lists them as endpoints."""
    first_release(model)
    model.world.faults.endpoints_stuck = True
    model.wish_for(image="app:2")
    model.run(15)


def smoke_tests_fail(model: Model) -> None:
    """app-2 starts well, and answers its smoke tests badly."""
    model.world.faults.smoke_bad.add("app:2")
    change(model)
    model.run(15)


def gateway_runs_late(model: Model) -> None:
    """The gateway says that it took up the weights before it did."""
    model.world.faults.gateway_early = True
    change(model)
    model.run(30)


def metrics_go_away(model: Model) -> None:
    """Prometheus answers no more from the middle of a stage on."""
    to_stage(model)
    model.world.faults.metrics = "outage"
    model.run(12)


def traffic_dries_up(model: Model) -> None:
    """Hardly any requests from the middle of a stage on."""
    to_stage(model)
    model.world.faults.rps = 0.5
    model.world.record()
    model.run(20)


def weights_edited_as_a_stage_ends(model: Model) -> None:
    """Somebody takes the weight away, and everybody follows, just before the stage would be passed."""
    to_stage(model)
    model.run(4)
    model.edit_weights(blue=100)
    model.world.step_gateway_status()
    model.world.step_gateway_data()
    for kind in KINDS:
        model.api.deliver(kind)
    model.world.tick(6)
    model.finish()


def overtaken(model: Model) -> None:
    """A newer change comes while app-2 has a part of the traffic."""
    to_stage(model)
    model.wish_for(image="app:3")
    model.run(5)


def long_pause(model: Model) -> None:
    """A person holds app-2 in mid-rollout."""
    to_stage(model)
    model.intend("app-2", Intent.PAUSE)
    model.run(5)


def storm(model: Model) -> None:
    """A storm begins in mid-rollout, and lasts; a person wants app-2 promoted all the same."""
    _meanwhile(model, "storm")


def acted_on(model: Model) -> None:
    """The service is acted on in mid-rollout, which takes long; a person wants app-2 promoted all the same."""
    _meanwhile(model, "act")


def errors_in_a_storm(model: Model) -> None:
    """In a storm, users of app-2 meet errors: the way back is open."""
    to_stage(model)
    model.world.faults.recovery = RECOVERY["storm"]
    model.world.faults.failing.add("app:2")
    model.run(30)
    _expect(model, "app-2", ReleaseState.ROLLED_BACK)


def _meanwhile(model: Model, what: str) -> None:
    to_stage(model)
    model.world.faults.recovery = RECOVERY[what]
    model.run(30)
    model.intend("app-2", Intent.PROMOTE)
    model.run(10)


def _expect(model: Model, name: str, state: ReleaseState) -> None:
    status = model.status(name) if name in model.releases() else None
    assert status is not None, model.describe()
    assert status.state is state, model.describe()
