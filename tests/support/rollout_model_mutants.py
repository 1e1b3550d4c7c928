"""Operators that are wrong on purpose, each killed by one invariant: what shows that every invariant can fail.

docs/design/model-test.md says what the invariants are. `says` is a part of what the rule says when it kills the
mutant, so that a mutant killed by another rule of the same invariant does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sophia_operator.api.release import Intent
from sophia_operator.core.decision import Done, RequeueAfter
from sophia_operator.runtime.world import Mind
from tests.support import rollout_model_lies as lies
from tests.support import rollout_model_scripts as scripts
from tests.support import rollout_model_slips as slips
from tests.support.rollout_model import Model
from tests.support.rollout_model_lies import deceived
from tests.support.rollout_model_rest import settle
from tests.support.rollout_model_slips import amended, misdrawn, misplaced
from tests.support.rollout_model_specs import Wish


@dataclass(frozen=True, slots=True)
class Mutant:
    """A wrong mind, and a way on which it shows."""

    name: str
    invariant: str
    says: str
    mind: Mind
    script: Callable[[Model], None]
    wish: Wish = field(default_factory=Wish)

    def play(self, mind: Mind) -> None:
        """The script with that mind, and then the world gets well. Raises InvariantError."""
        model = Model(self.wish, mind)
        self.script(model)
        settle(model)


MUTANTS: Final = (
    # I1: never traffic to nobody
    Mutant(
        "gives weight before anything is ready", "I1", "gets 10 %, and it has no ready endpoints",
        misplaced(slips.weight_from_the_start), scripts.to_the_end,
    ),
    Mutant(
        "takes pods for endpoints", "I1", "has 25 % and no ready endpoints, after a pass",
        deceived(lies.all_pods_are_endpoints, placement=True), scripts.pods_vanish,
    ),
    # I2: the way back stands
    Mutant(
        "lets blue shrink as green grows", "I2", "2 are its full size",
        misplaced(slips.stable_shrinks), scripts.to_the_end,
    ),
    Mutant(
        "takes the pods of the old release as it is replaced", "I2", "it had traffic at",
        misplaced(slips.previous_goes_at_once), scripts.to_the_end, Wish(drain_seconds=30),
    ),
    Mutant(
        "keeps the old release only while it drains", "I2", "and it is to be kept",
        misplaced(slips.previous_goes_when_drained), scripts.to_the_end,
    ),
    Mutant(
        "does not follow when the service grows", "I2", "does not have its 5 pods after a pass",
        misplaced(slips.size_of_the_beginning), scripts.scale_up,
    ),
    Mutant(
        "aborts the only release", "I2", "no other release is Promoted",
        amended(slips.abort_needs_no_way_back), scripts.abort_of_the_only_release,
    ),
    # I3: proved before it has users
    Mutant(
        "believes that ready pods can be reached", "I3", "never had 2 ready endpoints",
        deceived(lies.all_pods_are_endpoints), scripts.endpoints_stay_empty,
    ),
    Mutant(
        "does not mind what smoke tests answer", "I3", "never passed home",
        deceived(lies.smoke_tests_pass), scripts.smoke_tests_fail, Wish(smoke=1),
    ),
    # I4: a stage passes on evidence of its own
    Mutant(
        "believes the gateway's word", "I4", "the clock of 0.25 starts",
        deceived(lies.word_of_the_gateway), scripts.gateway_runs_late,
    ),
    Mutant(
        "does not wait until a stage's time is over", "I4", "passed before its time",
        deceived(lies.stages_take_no_time), scripts.to_the_end,
    ),
    Mutant(
        "takes silence for success", "I4", "gate errors last found",
        deceived(lies.no_news_is_good_news), scripts.metrics_go_away,
    ),
    Mutant(
        "judges on a handful of requests", "I4", "gate errors last found",
        deceived(lies.any_request_will_do), scripts.traffic_dries_up,
    ),
    Mutant(
        "looks back beyond the stage", "I4", "looked back beyond the stage",
        deceived(lies.stages_began_long_ago, advance=False, needs=True), scripts.to_the_end,
    ),
    Mutant(
        "does not see that its weight is gone", "I4", "passed, and its share is 0",
        deceived(lies.weights_stand), scripts.weights_edited_as_a_stage_ends,
    ),
    Mutant(
        "gives all the traffic in the first stage", "I4", "gets 100 %, its stage gives",
        misplaced(slips.all_at_once), scripts.to_the_end,
    ),
    # I5: what is to have no traffic has none
    Mutant(
        "does not hear an abort", "I5", "after a pass, and it is to be aborted",
        deceived(lies.deaf_to(Intent.ABORT)), scripts.abort_in_mid_rollout,
    ),
    Mutant(
        "leaves a failed release its weight", "I5", "after a pass, and is RollingBack",
        misplaced(slips.weight_stays), scripts.failed_release,
    ),
    Mutant(
        "leaves a share to the release that was replaced", "I5", "is stable",
        misplaced(slips.previous_shares), scripts.to_the_end,
    ),
    # I6: what failed stays failed
    Mutant(
        "tries again by itself", "I6", "was RolledBack and is Pending",
        deceived(lies.somebody_asked_to_retry), scripts.failed_release,
    ),
    Mutant(
        "forgets what failed", "I6", "app-3 is made, but app-2 is the same",
        deceived(lies.what_failed_is_gone), scripts.failed_release,
    ),
    # I7: only weights change in the route
    Mutant(
        "gives away more than there is", "I7", "the weights are",
        misplaced(slips.more_than_all), scripts.to_the_end,
    ),
    Mutant(
        "sorts the backends by weight", "I7", "the route was",
        misdrawn(slips.heaviest_backend_first), scripts.to_the_end,
    ),
    Mutant(
        "takes the route away when nothing is to be split", "I7", "HTTPRoute app was deleted",
        misdrawn(slips.no_route_between_rollouts), scripts.to_the_end,
    ),
    # I8: statuses are sound
    Mutant(
        "decides two steps in one pass", "I8", "two transitions in one pass",
        amended(slips.two_steps), scripts.to_the_end,
    ),
    Mutant(
        "says nothing of Ready", "I8", "Ready is missing",
        amended(slips.ready_forgotten), scripts.to_the_end,
    ),
    Mutant(
        "writes more words than the API takes", "I8", "cannot be read back",
        amended(slips.too_many_words), scripts.to_the_end,
    ),
    # I9: it gets where it should, and rests
    Mutant(
        "looks again at once, always", "I9", "passes in",
        amended(slips.look_again(RequeueAfter(0.0))), scripts.long_rest,
    ),
    Mutant(
        "looks again every minute", "I9", "not at rest after 900 s",
        amended(slips.look_again(RequeueAfter(60.0))), scripts.first_release,
    ),
    Mutant(
        "writes the time into the status", "I9", "writes at rest",
        amended(slips.the_hour_in_the_status), scripts.first_release,
    ),
    Mutant(
        "sleeps through its stages", "I9", "writes at rest",
        amended(slips.asleep_in_stages(Done())), scripts.change,
    ),
    Mutant(
        "never starts", "I9", "at rest without a reason",
        amended(slips.never_starts(Done())), scripts.change,
    ),
    Mutant(
        "does not hear that it is to try again", "I9", "not where the spec wants it",
        deceived(lies.deaf_to(Intent.RETRY)), scripts.failed_release,
    ),
    Mutant(
        "adds a pod now and then while it is paused", "I9", "children change while paused",
        misplaced(slips.restless_when_paused), scripts.long_pause,
    ),
    # I10: users of one release are not handed to another
    Mutant(
        "gives the colour to the newest release at once", "I10", "and green has traffic",
        misplaced(slips.newest_takes_the_colour), scripts.overtaken,
    ),
    Mutant(
        "mixes up the colours", "I10", "and blue has traffic",
        amended(slips.starts_as_the_colour_that_serves), scripts.to_the_end,
    ),
    # I11: recovery and a rollout do not change the same thing at once
    Mutant("goes on in a storm", "I11", "while recovery holds it", deceived(lies.no_storm), scripts.storm),
    Mutant("goes on while it is acted on", "I11", "while recovery holds it", deceived(lies.no_acts), scripts.acted_on),
)  # fmt: skip
