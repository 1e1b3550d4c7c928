package main

import (
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"time"
)

// The values of the response header X-Demo-Fault.
const (
	faultError    = "error"
	faultBurst    = "burst"
	faultOverload = "overload"
	faultLatency  = "latency"
)

// faults says what the release does wrong. The zero value does nothing wrong. It is also the body of POST /fault.
type faults struct {
	LatencyMS    float64 `json:"latencyMs,omitempty"`    // each answer is delayed by this
	ErrorPercent float64 `json:"errorPercent,omitempty"` // 0 to 100, drawn for each request
	ErrorBurst   string  `json:"errorBurst,omitempty"`   // "5s/20s": fails in the first 5 s of every 20 s
	FailAboveRPS float64 `json:"failAboveRps,omitempty"` // fails while the last second had more requests; 0: never
	Unready      bool    `json:"unready,omitempty"`      // /healthz answers 503
	AfterSeconds float64 `json:"afterSeconds,omitempty"` // POST /fault only: begins this long after the call
}

func (f faults) check() error {
	switch {
	case !(f.LatencyMS >= 0) || f.LatencyMS > 600_000:
		return fmt.Errorf("latencyMs is %v: want 0 to 600000", f.LatencyMS)
	case !(f.ErrorPercent >= 0) || f.ErrorPercent > 100:
		return fmt.Errorf("errorPercent is %v: want 0 to 100", f.ErrorPercent)
	case !(f.FailAboveRPS >= 0):
		return fmt.Errorf("failAboveRps is %v: want 0 or more", f.FailAboveRPS)
	case !(f.AfterSeconds >= 0) || f.AfterSeconds > 86_400:
		return fmt.Errorf("afterSeconds is %v: want 0 to 86400", f.AfterSeconds)
	}
	_, _, err := parseBurst(f.ErrorBurst)
	return err
}

// parseBurst reads "5s/20s" as (5 s, 20 s); the empty string is (0, 0).
func parseBurst(text string) (on, period time.Duration, err error) {
	if text == "" {
		return 0, 0, nil
	}
	first, second, found := strings.Cut(text, "/")
	if found {
		on, err = time.ParseDuration(first)
	}
	if err == nil && found {
		period, err = time.ParseDuration(second)
	}
	if err != nil || !found || on <= 0 || period < on {
		return 0, 0, fmt.Errorf("error burst is %q: want ON/PERIOD, as in 5s/20s, ON not longer than PERIOD", text)
	}
	return on, period, nil
}

// verdict is what happens to one request.
type verdict struct {
	fault  string // value of X-Demo-Fault; empty: none
	status int
	delay  time.Duration
}

// injector decides about each request. Faults given at the start begin `startAfter` after the first counted
// request, so that a release can pass its smoke tests and go bad under real traffic.
type injector struct {
	now        func() time.Time
	startAfter time.Duration

	mu      sync.Mutex
	active  faults
	begins  time.Time // zero: not known before the first counted request
	burst   struct{ on, period time.Duration }
	recent  rateWindow
	percent func() float64 // uniform in [0, 100)
}

func newInjector(f faults, startAfter time.Duration, now func() time.Time) *injector {
	source := rand.New(rand.NewSource(now().UnixNano()))
	i := &injector{now: now, startAfter: startAfter, percent: func() float64 { return source.Float64() * 100 }}
	i.install(f)
	if startAfter == 0 {
		i.begins = now()
	}
	return i
}

func (i *injector) install(f faults) {
	i.active = f
	i.burst.on, i.burst.period, _ = parseBurst(f.ErrorBurst) // checked before
}

// set replaces all faults while the app runs (POST /fault).
func (i *injector) set(f faults) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.install(f)
	i.begins = i.now().Add(time.Duration(f.AfterSeconds * float64(time.Second)))
}

func (i *injector) get() faults {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.active
}

// unready does not wait for traffic: a release that is never ready gets none.
func (i *injector) unready() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.active.Unready && (i.begins.IsZero() || !i.now().Before(i.begins))
}

// judge decides about one request. Only a counted request starts the clock of startAfter and adds to the rate.
func (i *injector) judge(counted bool) verdict {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	if counted {
		i.recent.add(now)
		if i.begins.IsZero() {
			i.begins = now.Add(i.startAfter)
		}
	}
	good := verdict{status: 200}
	if i.begins.IsZero() || now.Before(i.begins) {
		return good
	}
	v := good
	if i.active.LatencyMS > 0 {
		v.fault, v.delay = faultLatency, time.Duration(i.active.LatencyMS*float64(time.Millisecond))
	}
	switch {
	case i.active.FailAboveRPS > 0 && i.recent.perSecond(now) > i.active.FailAboveRPS:
		v.fault, v.status = faultOverload, 503
	case i.burst.period > 0 && now.Sub(i.begins)%i.burst.period < i.burst.on:
		v.fault, v.status = faultBurst, 500
	case i.active.ErrorPercent > 0 && i.percent() < i.active.ErrorPercent:
		v.fault, v.status = faultError, 500
	}
	return v
}

// rateWindow counts the events of the last second in slots of 100 ms.
type rateWindow struct {
	slots [10]struct {
		slot  int64
		count int
	}
}

func (w *rateWindow) add(now time.Time) {
	slot := now.UnixMilli() / 100
	s := &w.slots[slot%10]
	if s.slot != slot {
		s.slot, s.count = slot, 0
	}
	s.count++
}

func (w *rateWindow) perSecond(now time.Time) float64 {
	slot, total := now.UnixMilli()/100, 0
	for _, s := range w.slots {
		if s.slot > slot-10 {
			total += s.count
		}
	}
	return float64(total)
}
