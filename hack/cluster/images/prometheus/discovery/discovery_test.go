package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func podJSON(uid, ip, phase string) string {
	return fmt.Sprintf(`{"metadata":{"uid":%q,"name":"web-%s","namespace":"shop",
		"labels":{"sophia.ai/color":"green"},"annotations":{"prometheus.io/scrape":"true"}},
		"spec":{"containers":[{"name":"web","ports":[{"name":"http","containerPort":8080},
			{"name":"dns","containerPort":53,"protocol":"UDP"}]}]},
		"status":{"phase":%q,"podIP":%q}}`, uid, uid, phase, ip)
}

func TestOneTargetForEachTCPPortOfARunningPod(t *testing.T) {
	pods := map[string]pod{}
	for _, text := range []string{podJSON("b", "10.0.0.2", "Running"), podJSON("a", "10.0.0.1", "Running"),
		podJSON("c", "10.0.0.3", "Succeeded"), podJSON("d", "", "Pending")} {
		if err := apply(pods, watchEvent{"ADDED", json.RawMessage(text)}); err != nil {
			t.Fatal(err)
		}
	}
	groups := targetGroups(pods)
	if len(groups) != 2 || groups[0].Targets[0] != "10.0.0.1:8080" || groups[1].Targets[0] != "10.0.0.2:8080" {
		t.Fatalf("groups are %+v", groups)
	}
	want := map[string]string{
		"__meta_kubernetes_namespace":                           "shop",
		"__meta_kubernetes_pod_name":                            "web-a",
		"__meta_kubernetes_pod_label_sophia_ai_color":           "green",
		"__meta_kubernetes_pod_annotation_prometheus_io_scrape": "true",
		"__meta_kubernetes_pod_container_port_name":             "http",
	}
	for name, value := range want {
		if groups[0].Labels[name] != value {
			t.Errorf("%s is %q, want %q", name, groups[0].Labels[name], value)
		}
	}
}

func TestNoPodsIsAnEmptyListInTheFile(t *testing.T) {
	content, err := json.Marshal(targetGroups(nil))
	if err != nil || string(content) != "[]" {
		t.Fatalf("content is %s, error %v", content, err)
	}
}

// The file follows a list, an added pod, a deleted pod, and a watch that the server ends and refuses for a while.
func TestFollowsTheAPIServer(t *testing.T) {
	events := make(chan string)
	lists := make(chan string, 3)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("authorization is %q", r.Header.Get("Authorization"))
		}
		if r.URL.Query().Get("watch") == "" {
			fmt.Fprintf(w, `{"metadata":{"resourceVersion":"7"},"items":[%s]}`, <-lists)
			return
		}
		if got := r.URL.Query().Get("resourceVersion"); got != "7" {
			t.Errorf("watches from %q", got)
		}
		w.(http.Flusher).Flush()
		for {
			select {
			case event, open := <-events:
				if !open {
					return
				}
				if event == "" {
					return // ends the watch
				}
				fmt.Fprint(w, event)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	token := func() (string, error) { return "secret", nil }
	api := &apiServer{server.URL, token, server.Client()}
	file := filepath.Join(t.TempDir(), "pods.json")
	changes := make(chan map[string]pod)
	go follow(ctx, api, changes)
	go writeAll(ctx, file, changes)

	lists <- podJSON("a", "10.0.0.1", "Running")
	waitFor(t, file, 1)
	events <- `{"type":"ADDED","object":` + podJSON("b", "10.0.0.2", "Running") + `}`
	waitFor(t, file, 2)
	events <- `{"type":"DELETED","object":` + podJSON("a", "10.0.0.1", "Running") + `}`
	waitFor(t, file, 1)
	events <- "" // the watch ends: everything is listed again, and what was missed is seen
	lists <- podJSON("b", "10.0.0.2", "Running") + "," + podJSON("c", "10.0.0.3", "Running") + "," + podJSON("d", "10.0.0.4", "Running")
	waitFor(t, file, 3)
}

func waitFor(t *testing.T, file string, targets int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	var content []byte
	for time.Now().Before(deadline) {
		content, _ = os.ReadFile(file)
		var groups []targetGroup
		if json.Unmarshal(content, &groups) == nil && len(groups) == targets {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not %d targets after 10 s: %s", targets, content)
}
