package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// config is what the environment says, checked.
type config struct {
	listen     string
	release    string
	pod        string
	control    bool          // POST /fault is served
	drain      time.Duration // how long requests are served after SIGTERM
	crashAfter time.Duration // negative: never
	bindings   string        // the directory of what the service is bound to
	cache      string        // the CacheTier that is used, when several are bound
	origin     time.Duration // how long the origin takes
	faults     faults
	faultAfter time.Duration // from the first counted request to the beginning of the faults
}

// readConfig reads the environment through get (os.Getenv). A value that cannot be read is an error: a demo in
// which a typing mistake silently makes the bad release a good one would prove nothing.
func readConfig(get func(string) string) (config, error) {
	env := environment{get: get}
	c := config{
		listen:     env.text("DEMO_LISTEN", ":8080"),
		release:    get("SOPHIA_RELEASE"),
		pod:        get("HOSTNAME"),
		control:    env.flag("DEMO_CONTROL"),
		drain:      env.seconds("DEMO_DRAIN_SECONDS", 3*time.Second),
		crashAfter: env.seconds("DEMO_CRASH_AFTER_SECONDS", -1),
		faultAfter: env.seconds("DEMO_FAULT_AFTER_SECONDS", 0),
		bindings:   get("SERVICE_BINDING_ROOT"),
		cache:      get("DEMO_CACHE"),
		origin:     env.milliseconds("DEMO_ORIGIN_MS", 20*time.Millisecond),
		faults: faults{
			LatencyMS:    env.number("DEMO_LATENCY_MS"),
			ErrorPercent: env.number("DEMO_ERROR_PERCENT"),
			ErrorBurst:   get("DEMO_ERROR_BURST"),
			FailAboveRPS: env.number("DEMO_FAIL_ABOVE_RPS"),
			Unready:      env.flag("DEMO_UNREADY"),
		},
	}
	if env.err == nil {
		env.err = c.faults.check()
	}
	return c, env.err
}

// environment reads typed values and keeps the first error.
type environment struct {
	get func(string) string
	err error
}

func (e *environment) text(name, otherwise string) string {
	if v := e.get(name); v != "" {
		return v
	}
	return otherwise
}

func (e *environment) fail(name, value, want string) {
	if e.err == nil {
		e.err = fmt.Errorf("%s=%q: want %s", name, value, want)
	}
}

func (e *environment) number(name string) float64 {
	v := e.get(name)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || !(n >= 0) {
		e.fail(name, v, "a number, 0 or more")
	}
	return n
}

func (e *environment) seconds(name string, otherwise time.Duration) time.Duration {
	if e.get(name) == "" {
		return otherwise
	}
	return time.Duration(e.number(name) * float64(time.Second))
}

func (e *environment) milliseconds(name string, otherwise time.Duration) time.Duration {
	if e.get(name) == "" {
		return otherwise
	}
	return time.Duration(e.number(name) * float64(time.Millisecond))
}

func (e *environment) flag(name string) bool {
	v := strings.ToLower(e.get(name))
	switch v {
	case "", "0", "false":
		return false
	case "1", "true":
		return true
	}
	e.fail(name, v, "0 or 1")
	return false
}
