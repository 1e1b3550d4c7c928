"""What each condition and each reason means: for the reference page and for `kubectl sophia explain`.

Complete by test: a new condition type or reason needs its line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sophia_operator.api.conditions import ConditionType, Reason

CONDITION_MEANINGS: Final[Mapping[ConditionType, str]] = {
    ConditionType.READY: "What the spec asks for is the stable release, ready, with all traffic. Always there.",
    ConditionType.AVAILABLE: "The stable release has its ready pods and serves, whatever a rollout does meanwhile.",
    ConditionType.RECONCILING: "Work is under way to bring what runs to what the spec says. There only while true.",
    ConditionType.STALLED: "Nothing will change until somebody acts; the message says how. There only while true.",
    ConditionType.PAUSED: "The rollout holds where it is, because somebody or a limit said so.",
    ConditionType.METRICS_AVAILABLE: "Prometheus answers. While it does not, gates are Inconclusive and stages hold.",
    ConditionType.TRAFFIC_VERIFIED: "The share of requests seen at the release agrees with the weight in the route.",
    ConditionType.DRAIN_SAFE: "Pods go on serving long enough after they left the endpoints to lose no request.",
}

REASON_MEANINGS: Final[Mapping[Reason, str]] = {
    Reason.SETTLED: "The spec runs, and no rollout is under way.",
    Reason.FIRST_RELEASE: "The first release of the service; it takes all traffic once it is ready.",
    Reason.NEW_RELEASE: "A change was seen and became a Release.",
    Reason.PROGRESSING: "A rollout is under way.",
    Reason.PROVISIONING: "The release's pods are being started.",
    Reason.SMOKE_TESTING: "The smoke tests are running; the release has no traffic yet.",
    Reason.SMOKE_TESTS_PASSED: "Every smoke test passed.",
    Reason.SHIFTING: "The release takes traffic, stage by stage.",
    Reason.WEIGHT_OBSERVED: "The stage's weight was seen in the traffic, so its clock started.",
    Reason.STAGE_PASSED: "The stage's time is over, and every gate passed.",
    Reason.PROMOTED: "The release passed every stage and is the stable one now.",
    Reason.ROLLING_BACK: "All traffic is going back to the stable release.",
    Reason.ROLLED_BACK: "All traffic is back at the stable release.",
    Reason.SUPERSEDED: "A newer change came before this release was promoted.",
    Reason.REVERTED: "The spec went back to the stable release, so the rollout ended without a failure.",
    Reason.REBUILT: "The status was missing or inconsistent and was rebuilt from what serves traffic.",
    Reason.AVAILABLE: "What is spoken of is there and works.",
    Reason.VERIFIED: "What was written was seen to hold.",
    Reason.PAUSED_BY_INTENT: "Somebody set the Release's intent to Pause; set it to Proceed to go on.",
    Reason.PAUSED_BY_SERVICE: "The ManagedService has paused set; unset it to go on.",
    Reason.INCONCLUSIVE_LIMIT: "A gate stayed Inconclusive for too many looks; mend its query or the "
    "metrics, then resume, or promote or abort.",
    Reason.GATE_FAILED_PAUSE: "A gate failed, and the plan says to pause then; resume, promote or abort.",
    Reason.AWAITING_OBSERVATION: "The weight is written but not yet seen in the traffic.",
    Reason.AWAITING_DRAIN: "The release is without traffic, and is given its time to drain before it is scaled down.",
    Reason.STABLE_NOT_READY: "The stable release is short of ready pods; a rollout does not go on meanwhile.",
    Reason.METRICS_UNAVAILABLE: "Prometheus cannot be reached or answers with an error.",
    Reason.SCALED_TO_ZERO: "The spec asks for no replicas, so nothing serves.",
    Reason.ABORTED: "Somebody set the Release's intent to Abort.",
    Reason.GATE_FAILED: "A gate failed more often than its failureLimit allows; status.gates has its numbers.",
    Reason.SMOKE_TEST_FAILED: "A smoke test failed all its attempts; status.smokeTests says what was wrong.",
    Reason.PROGRESS_DEADLINE_EXCEEDED: "The release was not ready within progressDeadlineSeconds.",
    Reason.CRASH_LOOP: "Containers of the release keep ending; look at their logs.",
    Reason.IMAGE_PULL_FAILED: "An image of the release cannot be pulled; check its name and the pull secrets.",
    Reason.QUOTA_EXCEEDED: "A quota of the namespace refuses pods of the release; raise it, or ask for less.",
    Reason.GREEN_NOT_READY: "The release lost ready pods while it had traffic.",
    Reason.ROUTE_NOT_PROGRAMMED: "The gateway did not put a written weight into effect within routeDeadlineSeconds.",
    Reason.ROUTE_REFUSED: "The gateway refuses the HTTPRoute; its status says why.",
    Reason.RELEASE_LATCHED: "This very change failed before and does not start again by itself; set the "
    "Release's intent to Retry, or change the spec.",
    Reason.RETRIED: "Somebody set the intent of a failed Release to Retry, and it started again.",
    Reason.PROMOTED_BY_INTENT: "Somebody set the Release's intent to Promote, which skips the remaining stages.",
    Reason.INVALID_SPEC: "The spec breaks a rule that admission did not check; the message names it.",
    Reason.INVALID_TEMPLATE: "The API server refuses the pod template; the message has its words.",
    Reason.INVALID_ROUTE: "The API server refuses the HTTPRoute of `traffic.gateway`, or did not answer when asked.",
    Reason.INVALID_QUERY: "Prometheus refuses a query; the message names the gate and has its words.",
    Reason.GATEWAY_NOT_FOUND: "A Gateway in parentRefs does not exist; create it, or mend the reference.",
    Reason.HOSTNAME_TAKEN: "Another route answers to the host name already; choose another, or remove that route.",
    Reason.NOT_OWNED: "An object that the operator must make exists and is someone else's; remove it, or "
    "rename the service.",
    Reason.CONFIG_NOT_FOUND: "A ConfigMap or Secret that the spec names does not exist; create it.",
    Reason.SNAPSHOT_ALTERED: "The Release's snapshot does not match its hash: somebody changed it. Change "
    "the ManagedService instead.",
    Reason.API_ERROR: "The API server refused or did not answer; the operator tries again.",
    Reason.NOT_READY: "The stable release is short of ready pods, or the route does not lead to it yet.",
    Reason.NO_RELEASE: "No release serves yet.",
    Reason.GRACE_TOO_SHORT: "The template's grace period or preStop hook is shorter than drainSeconds; "
    "requests may be lost when pods end.",
}
