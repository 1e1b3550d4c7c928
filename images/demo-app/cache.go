package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	chainLook      = time.Second            // between two looks at chain.json
	redisRetryWait = 200 * time.Millisecond // between two tries to connect
)

// The results of a question to a level, in metrics.
const (
	resultHit     = "hit"
	resultMiss    = "miss"
	resultError   = "error"
	resultSkipped = "skipped" // the app has no client for it
	levelOrigin   = "origin"
)

var errNoNamespace = errors.New("no level of the cache has that namespace")

// cache asks the levels of a chain one after the other, and the origin in the end.
type cache struct {
	folder string
	origin func(namespace, key string) string
	now    func() time.Time

	mu     sync.Mutex
	text   []byte
	chain  chain
	memory *memory
	nodes  map[string]*redisNode // by level
	counts map[[2]string]uint64  // by level and result
}

// newCache reads the chain in that folder. Nobody is connected to yet: that is done when something is asked.
func newCache(folder string, origin func(namespace, key string) string, now func() time.Time) (*cache, error) {
	c := &cache{folder: folder, origin: origin, now: now, nodes: map[string]*redisNode{}, counts: map[[2]string]uint64{}}
	text, err := os.ReadFile(filepath.Join(folder, chainFile))
	if err != nil {
		return nil, err
	}
	return c, c.take(text)
}

// take makes the chain with that text the one that is used.
func (c *cache) take(text []byte) error {
	parsed, err := parseChain(text)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	memory := newMemory(0, c.now)
	nodes := map[string]*redisNode{}
	for i, l := range parsed.Levels {
		switch l.Level {
		case levelMemory:
			memory = newMemory(l.Memory.MaxEntries, c.now)
		case levelRedis:
			if nodes[l.Name] = c.nodes[l.Name]; nodes[l.Name] != nil {
				continue
			}
			access, err := readAccess(filepath.Join(filepath.Dir(c.folder), l.Binding))
			if err != nil {
				return err
			}
			nodes[l.Name] = &redisNode{
				access: access, tracks: tracks(parsed, i), invalidate: c.invalidate, lost: c.forget,
			}
		}
	}
	for _, l := range parsed.Levels {
		for _, result := range []string{resultHit, resultMiss, resultError} {
			c.counts[[2]string{l.Name, result}] += 0 // from the start, so that the first one is an increase
		}
	}
	c.text, c.chain, c.memory, c.nodes = text, parsed, memory, nodes
	return nil
}

// tracks says whether the server at that place of the chain is to tell of keys that change: it is next to the memory.
func tracks(c chain, at int) bool {
	return at > 0 && c.Levels[at-1].Level == levelMemory && c.Levels[at-1].Memory.Invalidation == clientTracking
}

// watch takes a chain that changed, until stop is closed. One that cannot be used is told, and the old one stays.
func (c *cache) watch(stop <-chan struct{}) {
	ticks := time.NewTicker(chainLook)
	defer ticks.Stop()
	told := ""
	for {
		select {
		case <-stop:
			return
		case <-ticks.C:
		}
		c.check()
		if err := c.look(); err != nil && err.Error() != told {
			log.Printf("%s cannot be used, the one before stays: %v", chainFile, err)
			told = err.Error()
		}
	}
}

func (c *cache) look() error {
	text, err := os.ReadFile(filepath.Join(c.folder, chainFile))
	if err != nil {
		return err
	}
	c.mu.Lock()
	same := bytes.Equal(text, c.text)
	c.mu.Unlock()
	if same {
		return nil
	}
	if err := c.take(text); err != nil {
		return err
	}
	log.Printf("%s changed", chainFile)
	return nil
}

func (c *cache) check() {
	c.mu.Lock()
	nodes := c.nodes
	c.mu.Unlock()
	for _, node := range nodes {
		node.check()
	}
}

func (c *cache) invalidate(key string) { c.kept().invalidate(key) }

// forget drops what is in memory: nobody tells any more what changed.
func (c *cache) forget() { c.kept().clear() }

func (c *cache) kept() *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memory
}

func (c *cache) count(level, result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[[2]string{level, result}]++
}

type place struct {
	level level
	ns    namespace
	key   string
	node  *redisNode
}

// places says where a value may be, in the order in which to ask.
func (c *cache) places(namespace, key string) ([]place, *memory, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []place
	for _, l := range c.chain.Levels {
		if n, there := l.namespace(namespace); there {
			out = append(out, place{l, n, n.KeyPrefix + key, c.nodes[l.Name]})
		}
	}
	// What is in memory goes by the key of the server below: that is what the server tells about.
	for i := 0; i+1 < len(out); i++ {
		if out[i].level.Level == levelMemory && out[i+1].level.Level == levelRedis {
			out[i].key = out[i+1].key
		}
	}
	return out, c.memory, c.chain.WriteStrategy
}

// get returns the value, and the level that had it. Levels above that one have it from then on.
func (c *cache) get(namespace, key string) (value, from string, err error) {
	places, memory, _ := c.places(namespace, key)
	if len(places) == 0 {
		return "", "", errNoNamespace
	}
	tickets := map[int]uint64{}
	found := len(places)
	for i, p := range places {
		var there bool
		var result string
		if p.level.Level == levelMemory {
			if value, there = memory.get(p.key); there {
				result = resultHit
			} else {
				tickets[i], result = memory.begin(p.key), resultMiss
			}
		} else {
			value, there, result = p.ask()
		}
		c.count(p.level.Name, result)
		if there {
			from, found = p.level.Name, i
			break
		}
	}
	if found == len(places) {
		value, from = c.origin(namespace, key), levelOrigin
		c.count(levelOrigin, resultHit)
	}
	for i := found - 1; i >= 0; i-- {
		c.fill(places[i], memory, tickets[i], value)
	}
	return value, from, nil
}

func (p place) ask() (value string, there bool, result string) {
	if p.level.Level != levelRedis {
		return "", false, resultSkipped
	}
	answer, err := p.node.do("GET", p.key)
	if err != nil {
		return "", false, resultError
	}
	text, there := answer.(string)
	if !there {
		return "", false, resultMiss
	}
	return text, true, resultHit
}

func (c *cache) fill(p place, memory *memory, ticket uint64, value string) {
	switch p.level.Level {
	case levelMemory:
		memory.put(p.key, ticket, value, p.ttl())
	case levelRedis:
		// Unless somebody wrote meanwhile: that is newer.
		if err := p.set(value, "NX"); err != nil {
			c.count(p.level.Name, resultError)
		}
	}
}

func (p place) ttl() time.Duration {
	seconds := p.ns.TTLSeconds
	if p.level.Level == levelMemory && p.level.Memory.TTLSeconds > 0 && p.level.Memory.TTLSeconds < seconds {
		seconds = p.level.Memory.TTLSeconds
	}
	return time.Duration(seconds) * time.Second
}

func (p place) set(value string, more ...string) error {
	_, err := p.node.do(append([]string{"SET", p.key, value, "EX", strconv.Itoa(p.ns.TTLSeconds)}, more...)...)
	return err
}

// put writes a value as the chain's strategy says: into the caches, or, with WriteAround, only out of them. The origin is a
// function and keeps nothing.
func (c *cache) put(namespace, key, value string) error {
	places, memory, strategy := c.places(namespace, key)
	if len(places) == 0 {
		return errNoNamespace
	}
	var first error
	for i := len(places) - 1; i >= 0; i-- {
		p := places[i]
		var err error
		switch {
		case p.level.Level == levelMemory:
			// Read again when somebody asks: another may have written since.
			memory.invalidate(p.key)
		case p.level.Level == levelRedis && strategy == writeAround:
			_, err = p.node.do("DEL", p.key)
		case p.level.Level == levelRedis:
			err = p.set(value)
		}
		if err != nil {
			c.count(p.level.Name, resultError)
			if first == nil {
				first = fmt.Errorf("level %s: %w", p.level.Name, err)
			}
		}
	}
	return first
}

// redisNode is a server with the one connection to it that there is at a time.
type redisNode struct {
	access     redisAccess
	tracks     bool
	invalidate func(key string)
	lost       func()

	mu    sync.Mutex
	conn  *respConn // nil before the first one, and after a try that failed
	err   error     // why the last try to connect failed
	tryAt time.Time
}

func (n *redisNode) do(parts ...string) (interface{}, error) {
	conn, err := n.connection()
	if err != nil {
		return nil, err
	}
	value, err := conn.do(parts...)
	if refused, ok := err.(serverError); ok && strings.HasPrefix(string(refused), "READONLY") {
		conn.close() // it is no primary any more: the Service leads to another
	}
	return value, err
}

func (n *redisNode) connection() (*respConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil && !n.conn.isBroken() {
		return n.conn, nil
	}
	if n.err != nil && time.Now().Before(n.tryAt) {
		return nil, n.err
	}
	n.conn, n.err = dialRedis(n.access, n.told, func(error) { n.lost() })
	if n.err == nil && n.tracks {
		if _, n.err = n.conn.do("CLIENT", "TRACKING", "ON"); n.err != nil {
			n.conn.close()
		}
	}
	if n.err != nil {
		n.conn, n.tryAt = nil, time.Now().Add(redisRetryWait)
		log.Printf("redis at %s: %v", n.access.address, n.err)
	}
	return n.conn, n.err
}

// check finds out that the server is gone although nobody asks it: it cannot tell then what changed.
func (n *redisNode) check() {
	n.mu.Lock()
	conn := n.conn
	n.mu.Unlock()
	if n.tracks && conn != nil && !conn.isBroken() {
		_, _ = conn.do("PING")
	}
}

// told takes what the server says on its own.
func (n *redisNode) told(kind string, rest []interface{}) {
	if kind != "invalidate" || len(rest) == 0 {
		return
	}
	keys, _ := rest[0].([]interface{})
	if keys == nil { // FLUSHALL
		n.lost()
		return
	}
	for _, key := range keys {
		if name, ok := key.(string); ok {
			n.invalidate(name)
		}
	}
}

// write writes the cache's metrics in the Prometheus text format.
func (c *cache) write(out io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprint(out, "# HELP cache_requests_total Questions to each level of the cache, by result; the origin always hits.\n")
	fmt.Fprint(out, "# TYPE cache_requests_total counter\n")
	names := make([][2]string, 0, len(c.counts))
	for name := range c.counts {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		return names[i][0] < names[j][0] || (names[i][0] == names[j][0] && names[i][1] < names[j][1])
	})
	for _, name := range names {
		fmt.Fprintf(out, "cache_requests_total{level=\"%s\",result=\"%s\"} %d\n", name[0], name[1], c.counts[name])
	}
	fmt.Fprint(out, "# HELP cache_generation Number of the generation in use.\n# TYPE cache_generation gauge\n")
	for _, l := range c.chain.Levels {
		for _, n := range l.Namespaces {
			fmt.Fprintf(out, "cache_generation{level=\"%s\",namespace=\"%s\",generation=\"%s\"} %d\n", l.Name, n.Name, n.Generation, number(n.Generation))
		}
	}
	fmt.Fprintf(out, "# HELP cache_memory_entries Entries in this process.\n# TYPE cache_memory_entries gauge\ncache_memory_entries %d\n", c.memory.size())
}
