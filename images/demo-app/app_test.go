package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

func environmentOf(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func appWith(t *testing.T, c *clock, values map[string]string) *app {
	t.Helper()
	config, err := readConfig(environmentOf(values))
	if err != nil {
		t.Fatal(err)
	}
	return newApp(config, c.now)
}

func ask(a *app, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	a.handler().ServeHTTP(answer, request)
	return answer
}

func metricsOf(a *app) string { return ask(a, "GET", "/metrics", "").Body.String() }

func mustHave(t *testing.T, text, line string) {
	t.Helper()
	if !strings.Contains(text, line+"\n") {
		t.Errorf("%q is not in:\n%s", line, text)
	}
}

func TestEveryAnswerNamesItsRelease(t *testing.T) {
	a := appWith(t, newClock(), map[string]string{"SOPHIA_RELEASE": "web-7", "HOSTNAME": "web-7-abc", "DEMO_CONTROL": "1"})
	for _, path := range []string{"/", "/any/path", "/healthz", "/metrics", "/fault"} {
		if got := ask(a, "GET", path, "").Header().Get(headerRelease); got != "web-7" {
			t.Errorf("%s: release is %q", path, got)
		}
	}
	var body map[string]string
	if err := json.Unmarshal(ask(a, "GET", "/shop", "").Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if body["release"] != "web-7" || body["pod"] != "web-7-abc" || body["path"] != "/shop" {
		t.Errorf("body is %v", body)
	}
}

func TestAnEmptyReleaseStillSendsTheHeader(t *testing.T) {
	a := appWith(t, newClock(), nil)
	if _, there := ask(a, "GET", "/", "").Header()[headerRelease]; !there {
		t.Error("without the header the load generator counts the app's errors as lost requests")
	}
}

func TestMetricsStartAtZeroAndCount(t *testing.T) {
	a := appWith(t, newClock(), nil)
	before := metricsOf(a)
	for _, line := range []string{`http_requests_total{code="200"} 0`, `http_requests_total{code="500"} 0`,
		`http_request_duration_seconds_count 0`, `http_request_duration_seconds_bucket{le="+Inf"} 0`} {
		mustHave(t, before, line)
	}
	ask(a, "GET", "/", "")
	ask(a, "POST", "/", "body")
	after := metricsOf(a)
	mustHave(t, after, `http_requests_total{code="200"} 2`)
	mustHave(t, after, `http_request_duration_seconds_bucket{le="0.25"} 2`)
	mustHave(t, after, `http_request_duration_seconds_count 2`)
}

func TestProbesAndSmokeTestsAreNotCounted(t *testing.T) {
	a := appWith(t, newClock(), map[string]string{"DEMO_ERROR_PERCENT": "100"})
	for _, header := range []string{headerProbe, headerSmoke} {
		if got := ask(a, "GET", "/", "", header, "1").Code; got != 500 {
			t.Errorf("%s: a smoke test must see what the release does, got %d", header, got)
		}
	}
	ask(a, "GET", "/healthz", "")
	text := metricsOf(a)
	mustHave(t, text, `http_requests_total{code="200"} 0`)
	mustHave(t, text, `http_requests_total{code="500"} 0`)
	mustHave(t, text, `http_request_duration_seconds_count 0`)
}

func TestHistogramBuckets(t *testing.T) {
	m := newMetrics(time.Unix(0, 0))
	for _, took := range []time.Duration{4 * time.Millisecond, 5 * time.Millisecond, 251 * time.Millisecond, 11 * time.Second} {
		m.observe(200, took)
	}
	var out bytes.Buffer
	m.write(&out)
	for _, line := range []string{
		`http_request_duration_seconds_bucket{le="0.005"} 2`, // a value on a bound belongs to it
		`http_request_duration_seconds_bucket{le="0.25"} 2`,
		`http_request_duration_seconds_bucket{le="0.3"} 3`,
		`http_request_duration_seconds_bucket{le="10"} 3`,
		`http_request_duration_seconds_bucket{le="+Inf"} 4`,
	} {
		mustHave(t, out.String(), line)
	}
}

func TestErrorPercentIsDrawnForEachRequest(t *testing.T) {
	c := newClock()
	i := newInjector(faults{ErrorPercent: 30}, 0, c.now)
	draws := []float64{0, 29.9, 30, 99}
	i.percent = func() float64 { first := draws[0]; draws = draws[1:]; return first }
	for n, want := range []int{500, 500, 200, 200} {
		if v := i.judge(true); v.status != want || (want == 500) != (v.fault == faultError) {
			t.Errorf("draw %d: %+v, want %d", n, v, want)
		}
	}
}

func TestBurstsFollowTheClock(t *testing.T) {
	c := newClock()
	i := newInjector(faults{ErrorBurst: "5s/20s"}, 0, c.now)
	for second, want := range map[int]int{0: 500, 4: 500, 5: 200, 19: 200, 20: 500, 25: 200} {
		c.at = newClock().at.Add(time.Duration(second) * time.Second)
		if v := i.judge(true); v.status != want || (want == 500) != (v.fault == faultBurst) {
			t.Errorf("at %d s: %+v, want %d", second, v, want)
		}
	}
}

func TestFailsOnlyWhileThereAreMoreRequestsASecond(t *testing.T) {
	c := newClock()
	i := newInjector(faults{FailAboveRPS: 50}, 0, c.now)
	send := func(gap time.Duration, count int) (failed int) {
		for n := 0; n < count; n++ {
			c.at = c.at.Add(gap)
			if v := i.judge(true); v.status == 503 && v.fault == faultOverload {
				failed++
			}
		}
		return failed
	}
	if failed := send(25*time.Millisecond, 200); failed != 0 { // 40 a second
		t.Errorf("%d failed at 40 requests a second", failed)
	}
	if failed := send(10*time.Millisecond, 300); failed < 200 { // 100 a second
		t.Errorf("only %d of 300 failed at 100 requests a second", failed)
	}
	c.at = c.at.Add(2 * time.Second)
	if failed := send(25*time.Millisecond, 100); failed != 0 {
		t.Errorf("%d failed after the load went", failed)
	}
}

func TestProbesDoNotAddToTheLoad(t *testing.T) {
	c := newClock()
	i := newInjector(faults{FailAboveRPS: 5}, 0, c.now)
	for n := 0; n < 100; n++ {
		if v := i.judge(false); v.status != 200 {
			t.Fatalf("probe %d: %+v", n, v)
		}
	}
}

func TestFaultsBeginAfterTheFirstCountedRequest(t *testing.T) {
	c := newClock()
	a := appWith(t, c, map[string]string{"DEMO_ERROR_PERCENT": "100", "DEMO_FAULT_AFTER_SECONDS": "10"})
	status := func(headers ...string) int { return ask(a, "GET", "/", "", headers...).Code }
	c.at = c.at.Add(time.Hour)
	if got := status(headerSmoke, "1"); got != 200 {
		t.Errorf("a smoke test before any traffic: %d", got)
	}
	c.at = c.at.Add(time.Hour)
	if got := status(); got != 200 {
		t.Errorf("the first request: %d", got)
	}
	c.at = c.at.Add(9 * time.Second)
	if got := status(); got != 200 {
		t.Errorf("after 9 s: %d", got)
	}
	c.at = c.at.Add(time.Second)
	if got := status(); got != 500 {
		t.Errorf("after 10 s: %d", got)
	}
}

func TestLatencyIsReal(t *testing.T) {
	a := appWith(t, newClock(), map[string]string{"DEMO_LATENCY_MS": "60"})
	began := time.Now()
	answer := ask(a, "GET", "/", "")
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if answer.Code != 200 || answer.Header().Get(headerFault) != faultLatency {
		t.Errorf("status %d, fault %q", answer.Code, answer.Header().Get(headerFault))
	}
	text := metricsOf(a)
	mustHave(t, text, `http_request_duration_seconds_bucket{le="0.05"} 0`)
	mustHave(t, text, `http_request_duration_seconds_count 1`)
}

func TestUnready(t *testing.T) {
	good, bad := appWith(t, newClock(), nil), appWith(t, newClock(), map[string]string{"DEMO_UNREADY": "1"})
	if got := ask(good, "GET", "/healthz", "").Code; got != 200 {
		t.Errorf("good: %d", got)
	}
	if got := ask(bad, "GET", "/healthz", "").Code; got != 503 {
		t.Errorf("bad: %d", got)
	}
}

func TestControlChangesFaultsLive(t *testing.T) {
	c := newClock()
	a := appWith(t, c, map[string]string{"DEMO_CONTROL": "1"})
	if got := ask(a, "POST", "/fault", `{"errorPercent": 100, "afterSeconds": 5}`).Code; got != 200 {
		t.Fatalf("POST: %d", got)
	}
	if got := ask(a, "GET", "/", "").Code; got != 200 {
		t.Errorf("before its time: %d", got)
	}
	c.at = c.at.Add(5 * time.Second)
	if got := ask(a, "GET", "/", "").Code; got != 500 {
		t.Errorf("after its time: %d", got)
	}
	if got := ask(a, "GET", "/fault", "").Body.String(); !strings.Contains(got, `"errorPercent":100`) {
		t.Errorf("GET shows %s", got)
	}
	if ask(a, "DELETE", "/fault", ""); ask(a, "GET", "/", "").Code != 200 {
		t.Error("DELETE did not clear the fault")
	}
	for _, body := range []string{`{"errorPercnt": 100}`, `{"errorPercent": 101}`, `{"errorBurst": "20s/5s"}`, `no`} {
		if got := ask(a, "POST", "/fault", body).Code; got != 400 {
			t.Errorf("%s: %d", body, got)
		}
	}
}

func TestControlIsOffUnlessAsked(t *testing.T) {
	a := appWith(t, newClock(), nil)
	ask(a, "POST", "/fault", `{"errorPercent": 100}`)
	if got := ask(a, "GET", "/", "").Code; got != 200 {
		t.Errorf("a fault was set: %d", got)
	}
}

func TestBadConfigurationIsRefused(t *testing.T) {
	for _, values := range []map[string]string{
		{"DEMO_ERROR_PERCENT": "ten"}, {"DEMO_ERROR_PERCENT": "101"}, {"DEMO_ERROR_PERCENT": "-1"}, {"DEMO_LATENCY_MS": "NaN"},
		{"DEMO_ERROR_BURST": "5s"}, {"DEMO_ERROR_BURST": "0s/5s"}, {"DEMO_UNREADY": "maybe"}, {"DEMO_DRAIN_SECONDS": "3s"},
	} {
		if _, err := readConfig(environmentOf(values)); err == nil {
			t.Errorf("%v was accepted", values)
		}
	}
}

// From SIGTERM on: not ready, but serving; each answer closes its connection; a request in flight is finished; then it ends.
func TestDrain(t *testing.T) {
	a := appWith(t, newClock(), map[string]string{"DEMO_CONTROL": "1"})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	get := func(path string) (*http.Response, string) {
		response, err := http.Get(base + path)
		if err != nil {
			t.Fatalf("%s while draining: %v", path, err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
	stop, ended := make(chan os.Signal, 1), make(chan error, 1)
	go func() {
		ended <- run(&http.Server{Handler: a.handler()}, listener, a, stop, 300*time.Millisecond)
	}()
	if response, _ := get("/healthz"); response.StatusCode != 200 || response.Close {
		t.Errorf("before: status %d, close %v", response.StatusCode, response.Close)
	}
	stop <- syscall.SIGTERM
	for !a.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	if response, _ := get("/healthz"); response.StatusCode != 503 {
		t.Errorf("readiness while draining: %d", response.StatusCode)
	}
	if response, _ := get("/"); response.StatusCode != 200 || !response.Close {
		t.Errorf("a request while draining: status %d, close %v", response.StatusCode, response.Close)
	}
	// This one is still being answered when the listener closes.
	a.injector.set(faults{LatencyMS: 800})
	if response, body := get("/slow"); response.StatusCode != 200 || !strings.Contains(body, "/slow") {
		t.Errorf("the request in flight: status %d, body %s", response.StatusCode, body)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it did not end")
	}
	if _, err := http.Get(base + "/"); err == nil {
		t.Error("it still listens")
	}
	if left := a.metrics.inFlight.Load(); left != 0 {
		t.Error(fmt.Sprint(left, " in flight"))
	}
}
