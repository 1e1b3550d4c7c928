package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
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

const bodyLimit = 1 << 20 // bytes of a request's body that are read; what is more closes the connection

type app struct {
	config   config
	injector *injector
	metrics  *metrics
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
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, bodyLimit)); err != nil {
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
	writeJSON(w, v.status, map[string]string{
		"release": a.config.release, "pod": a.config.pod, "path": r.URL.Path, "fault": v.fault,
	})
	if counted {
		a.metrics.observe(v.status, time.Since(began))
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
