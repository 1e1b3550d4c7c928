package main

import (
	"net/http"
	"testing"
	"time"
)

func TestTheGatewayIsTheOneThatClosesConnections(t *testing.T) {
	server := newServer(http.NotFoundHandler())
	if server.IdleTimeout <= time.Hour {
		t.Errorf("idle connections are closed after %v, Envoy keeps them for an hour", server.IdleTimeout)
	}
	if server.ReadHeaderTimeout != 0 || server.ReadTimeout != 0 {
		t.Errorf("a connection without a request is closed after %v or %v", server.ReadHeaderTimeout, server.ReadTimeout)
	}
}
