package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"
	listSeconds   = 30
	watchSeconds  = 240 // the server ends a watch after this; then everything is listed again
)

// apiServer is the little of the Kubernetes API that is needed here.
type apiServer struct {
	base   string
	token  func() (string, error)
	client *http.Client
}

// inCluster reads what the kubelet gives every pod.
func inCluster() (*apiServer, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("not in a cluster: KUBERNETES_SERVICE_HOST and _PORT are not set")
	}
	authority, err := os.ReadFile(filepath.Join(accountFolder, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("ca.crt holds no certificate")
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
	}
	token := func() (string, error) { // read each time: the kubelet replaces it
		content, err := os.ReadFile(filepath.Join(accountFolder, "token"))
		return strings.TrimSpace(string(content)), err
	}
	return &apiServer{"https://" + net.JoinHostPort(host, port), token, &http.Client{Transport: transport}}, nil
}

type podList struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Items []pod `json:"items"`
}

type watchEvent struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

// listAndWatch calls changed with all pods, first as listed and then after each event, until the watch ends.
func (a *apiServer) listAndWatch(ctx context.Context, changed func(map[string]pod)) error {
	var list podList
	err := a.get(ctx, listSeconds*time.Second, nil, func(d *json.Decoder) error { return d.Decode(&list) })
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	pods := make(map[string]pod, len(list.Items))
	for _, p := range list.Items {
		pods[p.Metadata.UID] = p
	}
	changed(pods)
	query := url.Values{
		"watch":           {"1"},
		"resourceVersion": {list.Metadata.ResourceVersion},
		"timeoutSeconds":  {fmt.Sprint(watchSeconds)},
	}
	return a.get(ctx, (watchSeconds+listSeconds)*time.Second, query, func(d *json.Decoder) error {
		for d.More() {
			var event watchEvent
			if err := d.Decode(&event); err != nil {
				return fmt.Errorf("watch pods: %w", err)
			}
			if err := apply(pods, event); err != nil {
				return err
			}
			changed(pods)
		}
		return nil
	})
}

func apply(pods map[string]pod, event watchEvent) error {
	if event.Type == "ERROR" {
		return fmt.Errorf("watch pods: %s", event.Object)
	}
	var p pod
	if err := json.Unmarshal(event.Object, &p); err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	switch event.Type {
	case "ADDED", "MODIFIED":
		pods[p.Metadata.UID] = p
	case "DELETED":
		delete(pods, p.Metadata.UID)
	}
	return nil
}

func (a *apiServer) get(ctx context.Context, limit time.Duration, query url.Values, read func(*json.Decoder) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+"/api/v1/pods?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	token, err := a.token()
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the API server answers %s", response.Status)
	}
	return read(json.NewDecoder(response.Body))
}
