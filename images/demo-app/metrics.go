package main

import (
	"fmt"
	"io"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// durationBuckets are upper bounds in seconds. They include the usual objectives (100, 250, 300, 500 ms, 1 s),
// because a quantile that is compared with an objective is only exact where a bucket ends.
var durationBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 10}

// metrics are the app's RED metrics: rate and errors by a counter with the label code, duration by a histogram.
type metrics struct {
	inFlight atomic.Int64
	started  time.Time

	mu       sync.Mutex
	requests map[int]uint64
	buckets  []uint64 // not cumulative; the last one is above every bound
	sum      float64
}

func newMetrics(started time.Time) *metrics {
	return &metrics{
		started: started,
		// Both codes exist from the start: a counter that appears only with the first error has no increase
		// at that error, and a success rate without any error has no denominator's counterpart.
		requests: map[int]uint64{200: 0, 500: 0},
		buckets:  make([]uint64, len(durationBuckets)+1),
	}
}

func (m *metrics) observe(code int, took time.Duration) {
	seconds := took.Seconds()
	bucket := sort.SearchFloat64s(durationBuckets, seconds) // first bound that is not below
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[code]++
	m.buckets[bucket]++
	m.sum += seconds
}

// write writes the Prometheus text format, version 0.0.4.
func (m *metrics) write(out io.Writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	codes := make([]int, 0, len(m.requests))
	for code := range m.requests {
		codes = append(codes, code)
	}
	sort.Ints(codes)
	fmt.Fprint(out, "# HELP http_requests_total Requests answered, by status code; probes and smoke tests are not counted.\n")
	fmt.Fprint(out, "# TYPE http_requests_total counter\n")
	for _, code := range codes {
		fmt.Fprintf(out, "http_requests_total{code=\"%d\"} %d\n", code, m.requests[code])
	}
	fmt.Fprint(out, "# HELP http_request_duration_seconds Time from a request's headers to the end of its answer.\n")
	fmt.Fprint(out, "# TYPE http_request_duration_seconds histogram\n")
	var total uint64
	for i, bound := range durationBuckets {
		total += m.buckets[i]
		fmt.Fprintf(out, "http_request_duration_seconds_bucket{le=\"%s\"} %d\n", strconv.FormatFloat(bound, 'g', -1, 64), total)
	}
	total += m.buckets[len(durationBuckets)]
	fmt.Fprintf(out, "http_request_duration_seconds_bucket{le=\"+Inf\"} %d\n", total)
	fmt.Fprintf(out, "http_request_duration_seconds_sum %s\n", strconv.FormatFloat(m.sum, 'g', -1, 64))
	fmt.Fprintf(out, "http_request_duration_seconds_count %d\n", total)
	fmt.Fprint(out, "# HELP http_requests_in_flight Requests being answered now.\n# TYPE http_requests_in_flight gauge\n")
	fmt.Fprintf(out, "http_requests_in_flight %d\n", m.inFlight.Load())
	fmt.Fprint(out, "# HELP process_start_time_seconds Start of the process, in seconds since the epoch.\n")
	fmt.Fprintf(out, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %.3f\n", float64(m.started.UnixMilli())/1000)
}
