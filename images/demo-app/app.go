package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// The headers shared with the operator and the load generator.
const (
	headerRelease = "X-Sophia-Release"
	headerFault   = "X-Demo-Fault"
	headerProbe   = "X-Sophia-Probe"
	headerSmoke   = "X-Sophia-Smoke"
)

const cachedPath = "/cached/" // GET and PUT <namespace>/<key> there go through the cache

const bodyLimit = 1 << 20 // bytes of a request's body that are read; what is more closes the connection

type app struct {
	config   config
	injector *injector
	metrics  *metrics
	cache    *cache // nil: none is bound
	draining atomic.Bool
}

func newApp(c config, now func() time.Time) *app {
	return &app{config: c, injector: newInjector(c.faults, c.faultAfter, now), metrics: newMetrics(now())}
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.serve)
	mux.HandleFunc("/healthz", a.serveHealth)
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		a.metrics.write(w)
		if a.cache != nil {
			a.cache.write(w)
		}
	})
	if a.config.control {
		mux.HandleFunc("/fault", a.serveControl)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerRelease, a.config.release)
		if a.draining.Load() {
			w.Header().Set("Connection", "close") // the client's next request goes to another pod
		}
		mux.ServeHTTP(w, r)
	})
}

// serve answers every path that is not one of the others.
func (a *app) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	a.metrics.inFlight.Add(1)
	defer a.metrics.inFlight.Add(-1)
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		http.Error(w, "the body is longer than 1 MiB or was cut off", http.StatusRequestEntityTooLarge)
		return
	}
	counted := r.Header.Get(headerProbe) == "" && r.Header.Get(headerSmoke) == ""
	v := a.injector.judge(counted)
	if v.fault != "" {
		w.Header().Set(headerFault, v.fault)
	}
	if v.delay > 0 {
		select {
		case <-time.After(v.delay):
		case <-r.Context().Done(): // the client gave up; it is still a request that took this long
		}
	}
	body := map[string]string{
		"release": a.config.release, "pod": a.config.pod, "path": r.URL.Path, "fault": v.fault,
	}
	status := v.status
	if status == http.StatusOK && strings.HasPrefix(r.URL.Path, cachedPath) {
		status = a.serveCached(r, string(content), body)
	}
	writeJSON(w, status, body)
	if counted {
		a.metrics.observe(status, time.Since(began))
	}
}

// serveCached reads (GET) or writes (PUT) /cached/<namespace>/<key>, adds what came of it to the answer, and returns its
// status. A cache that does not answer is no failure of a read: the origin does.
func (a *app) serveCached(r *http.Request, content string, body map[string]string) int {
	namespace, key, whole := strings.Cut(strings.TrimPrefix(r.URL.Path, cachedPath), "/")
	if a.cache == nil || !whole || key == "" {
		body["error"] = "no cache is bound, or the path is not /cached/<namespace>/<key>"
		return http.StatusNotFound
	}
	var err error
	switch r.Method {
	case http.MethodGet:
		body["value"], body["level"], err = a.cache.get(namespace, key)
	case http.MethodPut:
		err = a.cache.put(namespace, key, content)
	default:
		body["error"] = "use GET or PUT"
		return http.StatusMethodNotAllowed
	}
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, errNoNamespace):
		body["error"] = err.Error()
		return http.StatusNotFound
	}
	body["error"] = err.Error()
	return http.StatusBadGateway
}

// slowOrigin is what the cache is in front of: a function that takes its time.
func slowOrigin(c config) func(namespace, key string) string {
	return func(namespace, key string) string {
		time.Sleep(c.origin)
		return namespace + "/" + key + " of " + c.release
	}
}

// serveHealth is the readiness probe's endpoint.
func (a *app) serveHealth(w http.ResponseWriter, _ *http.Request) {
	switch {
	case a.draining.Load():
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "draining"})
	case a.injector.unready():
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "unready on purpose"})
	default:
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	}
}

// serveControl shows (GET), replaces (POST) or clears (DELETE) this pod's faults.
func (a *app) serveControl(w http.ResponseWriter, r *http.Request) {
	var f faults
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit))
		decoder.DisallowUnknownFields() // a misspelt fault would be no fault at all
		err := decoder.Decode(&f)
		if err == nil {
			err = f.check()
		}
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		a.injector.set(f)
		log.Printf("faults are now %+v", f)
	case http.MethodDelete:
		a.injector.set(faults{})
		log.Printf("faults cleared")
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		writeJSON(w, http.StatusMethodNotAllowed, map[string]string{"error": "use GET, POST or DELETE"})
		return
	}
	writeJSON(w, http.StatusOK, a.injector.get())
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Printf("the answer could not be written: %v", err)
	}
}
