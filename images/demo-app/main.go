// The demo app: a small HTTP service whose releases can be good or bad on purpose.
//
// It stands in for a user's service in the demo and the end-to-end tests. What it does wrong is chosen by
// environment variables (README.md lists them), every answer says which release gave it, and every fault that is on
// purpose says so, so that a load generator can tell "the release is bad" from "a request was lost".
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// inFlightLimit bounds how long the process waits, after draining, for requests that are still being answered.
const inFlightLimit = 20 * time.Second

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC | log.Lmicroseconds)
	config, err := readConfig(os.Getenv)
	if err != nil {
		log.Printf("bad configuration: %v", err)
		os.Exit(2)
	}
	if config.crashAfter >= 0 {
		time.AfterFunc(config.crashAfter, func() {
			log.Printf("crashing on purpose after %v (DEMO_CRASH_AFTER_SECONDS)", config.crashAfter)
			os.Exit(1)
		})
	}

	app := newApp(config, time.Now)
	if err := app.bind(); err != nil {
		log.Printf("the cache that is bound cannot be used: %v", err)
		os.Exit(2)
	}
	server := newServer(app.handler())
	listener, err := net.Listen("tcp", config.listen)
	if err != nil {
		log.Fatalf("cannot listen: %v", err)
	}
	log.Printf("release %q listens on %s, faults %+v", config.release, listener.Addr(), config.faults)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if err := run(server, listener, app, stop, config.drain); err != nil {
		log.Fatal(err)
	}
}

// bind uses the cache that is mounted, if one is.
func (a *app) bind() error {
	folder, err := findChain(a.config.bindings, a.config.cache)
	if err != nil || folder == "" {
		return err
	}
	if a.cache, err = newCache(folder, slowOrigin(a.config), time.Now); err != nil {
		return err
	}
	go a.cache.watch(nil)
	log.Printf("the cache of %s is used", folder)
	return nil
}

// newServer returns a server that never closes a connection first. A gateway keeps its connections open between
// requests, and one that is closed at the instant a request is sent on it is a lost request. So the server waits longer
// than gateways do (Envoy: an hour), also for the first request: ReadHeaderTimeout would end a connection that the gateway
// opened and did not need yet.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, IdleTimeout: 2 * time.Hour}
}

// run serves until a signal arrives on stop, then drains: for the time `drain` requests are still answered while
// readiness already fails and each answer closes its connection; then what is in flight is finished.
func run(server *http.Server, listener net.Listener, app *app, stop <-chan os.Signal, drain time.Duration) error {
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case got := <-stop:
		log.Printf("%v: readiness fails from now on, serving goes on for %v", got, drain)
	}
	app.draining.Store(true)
	time.Sleep(drain)
	deadline, cancel := context.WithTimeout(context.Background(), inFlightLimit)
	defer cancel()
	err := server.Shutdown(deadline)
	log.Printf("stopped with %d requests in flight", app.metrics.inFlight.Load())
	return err
}
