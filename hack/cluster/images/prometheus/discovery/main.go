// Tells Prometheus which pods there are, where Prometheus was built without Kubernetes service discovery (Debian
// leaves it out). It watches the pods and writes them to a file for file_sd_configs, with the same __meta_kubernetes_*
// labels that `kubernetes_sd_configs: [{role: pod}]` gives, so the relabelling rules are the usual ones.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// settle is how long changes are collected before the file is written: one write for a whole rollout's burst.
const settle = 200 * time.Millisecond

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC)
	file := flag.String("file", "/targets/pods.json", "file to write, for file_sd_configs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	api, err := inCluster()
	if err != nil {
		log.Fatal(err)
	}
	changes := make(chan map[string]pod)
	go follow(ctx, api, changes)
	if err := writeAll(ctx, *file, changes); err != nil {
		log.Fatal(err)
	}
}

// follow sends the whole set of pods after each change, for ever: list, watch, and again when the watch ends.
func follow(ctx context.Context, api *apiServer, changes chan<- map[string]pod) {
	send := func(pods map[string]pod) {
		snapshot := make(map[string]pod, len(pods))
		for uid, p := range pods {
			snapshot[uid] = p
		}
		select {
		case changes <- snapshot:
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		if err := api.listAndWatch(ctx, send); err != nil && ctx.Err() == nil {
			log.Printf("will start again: %v", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
}

// writeAll writes the latest set at most once per settle time, and only when the targets changed.
func writeAll(ctx context.Context, file string, changes <-chan map[string]pod) error {
	var latest map[string]pod
	var written []byte
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case latest = <-changes:
			if due == nil {
				due = time.After(settle)
			}
		case <-due:
			due = nil
			content, err := json.Marshal(targetGroups(latest))
			if err != nil {
				return err
			}
			if bytes.Equal(content, written) {
				continue
			}
			if err := replaceFile(file, content); err != nil {
				return err
			}
			written = content
		}
	}
}

// replaceFile lets a reader see the old or the new content, never a part. Prometheus notices the rename.
func replaceFile(file string, content []byte) error {
	unfinished := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".tmp")
	if err := os.WriteFile(unfinished, content, 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, file)
}
