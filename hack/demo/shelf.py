"""The cache of the demo: memory above two Redis nodes, in front of the service's slow origin."""

from __future__ import annotations

import contextlib
import time
from typing import Final

import httpx

from hack.demo import cached_reads, ways
from hack.demo.beside import Beside, has_ended
from hack.demo.cache_figures import CacheFigures, Flushed, HandOver, Reads, Warmth
from hack.demo.cached_reads import ORIGIN, Reader
from hack.rig.api import Api, ApiError, Json
from hack.rig.cache_writes import Books, CacheWrites
from hack.rig.caches import NAMESPACE, PORT, Cache
from hack.rig.waiting import until

#: The tier of Redis nodes, and the one above it, in the memory of each pod of the service.
NAME: Final = "hot"
ABOVE: Final = "local"
#: How the service is bound, and how long its origin takes.
BINDINGS: Final = {"caches": [{"name": ABOVE, "generation": "PerRelease"}]}
ENV: Final = {"DEMO_ORIGIN_MS": "50"}
#: Keys of each kind that are read.
KEYS: Final = 60
#: What is flushed, and how fast. The rate counts every key that is looked at, those of the writer as well.
FLUSH_KEYS: Final = 4000
FLUSH_RATE: Final = 1000
FLUSH: Final = "old-pages"
_PAGES: Final = {"name": "pages", "prefix": "page", "ttlSeconds": 3600}
_WARM_PER_SECOND: Final = 500
_READY_SECONDS: Final = 120.0
_EVICT_SECONDS: Final = 20.0
_SWITCH_SECONDS: Final = 60.0
#: So many writes are acknowledged before the hand-over, and after it.
_WRITES: Final = 50


class Shelf:
    """In its block the cache comes up beside whatever else goes on; then the service can be bound to it."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.name = NAME
        self._api = api
        self._namespace = namespace
        self._cache = Cache(api, namespace, NAME)
        self._coming: Beside[None] | None = None
        self._playing: Beside[None] | None = None
        self._writes: CacheWrites | None = None
        self._steps: list[tuple[float, str]] = []
        self._found: int | None = None
        self._reads: Reads | None = None
        self._hand_over: HandOver | None = None
        self._flushed: Flushed | None = None
        self._over = False
        #: Why this machine cannot use the cache; None: it can, or it is not known yet.
        self.skipped: str | None = None

    def __enter__(self) -> Shelf:
        # Applied before the service is: a service waits until what it is bound to is there.
        self._cache.apply(namespaces=[NAMESPACE, _PAGES], warmUp={"maxPerSecond": _WARM_PER_SECOND})
        Cache(self._api, self._namespace, ABOVE).apply(level="Memory", namespaces=[NAMESPACE], next=NAME)
        self._coming = Beside(self._come_up, "shelf-come-up")
        return self

    def __exit__(self, *_: object) -> None:
        # Whoever is in a hurry must not wait for a writer that waits for a node.
        self._over = True
        if self._writes is not None:
            self._writes.ask_to_stop()

    def is_up(self) -> bool:
        """Whether it is Ready. Raises what kept it from it."""
        return has_ended(self._coming)

    def object(self) -> Json | None:
        """The CacheTier of the Redis nodes, None while there is none."""
        return self._api.get("CacheTier", self._namespace, self.name)

    def books(self) -> Books | None:
        """What the writer did up to now, None while there is none."""
        return None if self._writes is None else self._writes.books()

    def steps(self) -> list[tuple[float, str]]:
        """What was done up to now, with the time, in seconds since the epoch."""
        return self._steps[:]

    def prime(self, url: str, host: str) -> None:
        """Let the release that serves fill its own generation, as users would."""
        cached_reads.fill(url, host, str(NAMESPACE["name"]), _keys("warm"))

    def begin(self, release: str) -> None:
        """Read through that release's pods, let the primary hand over, and flush, beside the main thread."""
        self._playing = Beside(lambda: self._play(release), "shelf-play")

    def is_over(self) -> bool:
        """Whether that is over and all is well again. Raises what kept it from it."""
        return has_ended(self._playing)

    def figures(self, good: Json | None, failure: str | None) -> CacheFigures:
        """The figures; `good` is the release that was to be warmed. After a failure they count also where the API
        server says nothing more."""
        tier = None
        with contextlib.suppress(*((ApiError, httpx.HTTPError) if failure else ())):
            tier = self.object()
        return CacheFigures.of(
            tier,
            warmth=Warmth.of(tier, good, found=self._found, wanted=KEYS),
            reads=self._reads,
            hand_over=self._hand_over,
            flushed=self._flushed,
            skipped=self.skipped,
        )

    def _come_up(self) -> None:
        self._cache.wait_ready(seconds=_READY_SECONDS)
        self.skipped = ways.why_no_pods(self._api)
        if self.skipped is None:
            # Proxies hear of ready pods a moment after everybody else. Why it is not served is found out below.
            with contextlib.suppress(TimeoutError):
                self._cache.wait_served()
            self.skipped = ways.why_no_service(self._cache.service_address(), PORT)

    def _play(self, release: str) -> None:
        self._read(release)
        # Not before: a warm-up looks at every key, as a flush does.
        self._cache.fill(FLUSH_KEYS, prefix=f"{_PAGES['prefix']}:g1:", ex=3600)
        writes = self._writes = CacheWrites(self._cache.client)
        writes.start()
        if self._over:
            writes.ask_to_stop()
        writes.wait_more(_WRITES)
        past = self._switch(writes)
        flushed = self._flush()  # while the node that was the primary comes back
        self._cache.wait_ready(seconds=_READY_SECONDS)
        self._say("every node is back and in sync")
        writes.stop()
        self._flushed = flushed
        self._hand_over = HandOver.of(past, writes.books(), len(writes.missing()))

    def _read(self, release: str) -> None:
        addresses = cached_reads.addresses_of(self._api, self._namespace, release)
        if len(addresses) < 2:
            raise TimeoutError(f"{release} should have two pods that are ready, and has {len(addresses)}")
        name = str(NAMESPACE["name"])
        with Reader(addresses[0], name) as one, Reader(addresses[1], name) as other:
            self._found = sum(answer.level != ORIGIN for answer in one.read(_keys("warm")))
            self._say(f"{release} has {self._found} of the {KEYS} entries of the release before, in its own generation")
            begun = one.counts()
            origin = one.read(_keys("read"))
            empty = cached_reads.hit_percent(begun, one.counts(), ABOVE)
            begun = other.counts()
            redis, memory = other.read(_keys("read")), other.read(_keys("read"))
            full = cached_reads.hit_percent(begun, other.counts(), ABOVE)
        self._reads = Reads(
            cached_reads.median_ms(origin, ORIGIN),
            cached_reads.median_ms(redis, NAME),
            cached_reads.median_ms(memory, ABOVE),
            empty,
            full,
        )
        self._say(f"one pod read {KEYS} new keys from the origin, another one the same from Redis and from memory")

    def _switch(self, writes: CacheWrites) -> Json:
        """Evict the primary, as a drain of its machine does, and wait until the other node took over."""
        old = self._cache.primary()
        assert old is not None, "a tier that is Ready has a primary"
        began = time.time()
        until(f"{old} to be evicted", lambda: self._evict(old), seconds=_EVICT_SECONDS)
        self._say(f"{old}, the primary, is evicted, as when its machine is drained; a client writes on")
        past = self._cache.wait_failed_over(began, seconds=_SWITCH_SECONDS)
        self._say(f"{past['toNode']} is the primary, {time.time() - began:.1f} s after that")
        writes.wait_more(_WRITES)
        return past

    def _evict(self, pod: str) -> bool:
        try:
            self._api.evict(self._namespace, pod)
        except ApiError as error:
            if error.code != 429:  # the disruption budget is a moment behind
                raise
            return False
        return True

    def _flush(self) -> Flushed:
        wish = {"name": FLUSH, "namespaceName": _PAGES["name"], "keysPerSecond": FLUSH_RATE}
        self._cache.patch(flush=wish)
        self._say(f"a flush of {FLUSH_KEYS} keys begins, at {FLUSH_RATE} keys a second")
        told = self._cache.wait_flushed(FLUSH)
        self._say(f"the flush is {str(told['phase']).lower()}")
        left = self._cache.count(f"{_PAGES['prefix']}:*")
        return Flushed.of(told, wanted=FLUSH_KEYS, left=left, keys_per_second=FLUSH_RATE)

    def _say(self, words: str) -> None:
        self._steps.append((time.time(), words))


def _keys(kind: str) -> list[str]:
    return [f"{kind}-{number}" for number in range(KEYS)]
