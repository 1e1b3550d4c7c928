package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// chain is the part of chain.json that the app uses: the levels of a cache, in the order in which they are asked.
type chain struct {
	WriteStrategy string  `json:"writeStrategy"`
	Levels        []level `json:"levels"`
}

type level struct {
	Name       string `json:"name"`
	Level      string `json:"level"`
	Binding    string `json:"binding"` // its directory, beside that of the chain
	Memory     memoryPolicy
	Namespaces []namespace `json:"namespaces"`
}

type memoryPolicy struct {
	MaxEntries   int    `json:"maxEntries"`
	TTLSeconds   int    `json:"ttlSeconds"`
	Invalidation string `json:"invalidation"`
}

type namespace struct {
	Name       string `json:"name"`
	KeyPrefix  string `json:"keyPrefix"`
	TTLSeconds int    `json:"ttlSeconds"`
	Generation string `json:"generation"`
}

// The kinds of levels, and the strategies of writing.
const (
	levelMemory   = "Memory"
	levelRedis    = "Redis"
	levelPostgres = "PostgreSQL"

	writeThrough = "WriteThrough"
	writeBack    = "WriteBack"
	writeAround  = "WriteAround"

	clientTracking = "ClientTracking"
)

const chainFile = "chain.json"

// findChain returns the directory with the chain: that of the tier that is named, or the only one that has a chain. It is
// empty when nothing is mounted and nothing was asked for.
func findChain(root, tier string) (string, error) {
	if root == "" {
		if tier != "" {
			return "", errors.New("DEMO_CACHE is set, but SERVICE_BINDING_ROOT is not: nothing is bound")
		}
		return "", nil
	}
	if tier != "" {
		folder := filepath.Join(root, tier)
		_, err := os.Stat(filepath.Join(folder, chainFile))
		return folder, err
	}
	found, err := filepath.Glob(filepath.Join(root, "*", chainFile))
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", nil
	case len(found) > 1:
		return "", fmt.Errorf("several caches are bound (%s): say with DEMO_CACHE which is used", strings.Join(found, ", "))
	}
	return filepath.Dir(found[0]), nil
}

func parseChain(text []byte) (chain, error) {
	var c chain
	if err := json.Unmarshal(text, &c); err != nil {
		return c, err
	}
	if len(c.Levels) == 0 {
		return c, errors.New("the chain has no level")
	}
	for _, l := range c.Levels {
		switch l.Level {
		case levelMemory, levelRedis, levelPostgres:
		default:
			return c, fmt.Errorf("level %s is of a kind that is not known: %q", l.Name, l.Level)
		}
		for _, n := range l.Namespaces {
			if n.KeyPrefix == "" || n.TTLSeconds < 1 {
				return c, fmt.Errorf("namespace %s of level %s has no keyPrefix or no ttlSeconds", n.Name, l.Name)
			}
		}
	}
	return c, nil
}

func (l level) namespace(name string) (namespace, bool) {
	for _, n := range l.Namespaces {
		if n.Name == name {
			return n, true
		}
	}
	return namespace{}, false
}

// readAccess reads a binding of type redis, as the Service Binding specification has it: a file for each key.
func readAccess(folder string) (redisAccess, error) {
	values := map[string]string{}
	for _, key := range []string{"host", "port", "username", "password", "ca.crt"} {
		text, err := os.ReadFile(filepath.Join(folder, key))
		if err != nil && !os.IsNotExist(err) {
			return redisAccess{}, err
		}
		values[key] = strings.TrimSpace(string(text))
	}
	if values["host"] == "" || values["port"] == "" {
		return redisAccess{}, fmt.Errorf("the binding in %s has no host or no port", folder)
	}
	access := redisAccess{
		address:  net.JoinHostPort(values["host"], values["port"]),
		username: values["username"],
		password: values["password"],
	}
	uri, err := os.ReadFile(filepath.Join(folder, "uri"))
	if err != nil && !os.IsNotExist(err) {
		return redisAccess{}, err
	}
	if values["ca.crt"] != "" || strings.HasPrefix(string(uri), "rediss:") {
		access.tls = &tls.Config{ServerName: values["host"], MinVersion: tls.VersionTLS12}
	}
	if values["ca.crt"] != "" {
		access.tls.RootCAs = x509.NewCertPool()
		if !access.tls.RootCAs.AppendCertsFromPEM([]byte(values["ca.crt"])) {
			return redisAccess{}, fmt.Errorf("ca.crt in %s holds no certificate", folder)
		}
	}
	return access, nil
}

// number is the 3 of g3 and of g3r7; 0 of what is neither.
func number(generation string) int {
	digits, _, _ := strings.Cut(strings.TrimPrefix(generation, "g"), "r")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
