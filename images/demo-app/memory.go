package main

import (
	"sync"
	"time"
)

// memory is a cache in this process: at most so many entries, none older than its time.
type memory struct {
	now func() time.Time

	mu      sync.Mutex
	limit   int
	entries map[string]memoryEntry
	pending map[string]uint64
	ticket  uint64
}

type memoryEntry struct {
	value string
	until time.Time
}

func newMemory(limit int, now func() time.Time) *memory {
	return &memory{now: now, limit: limit, entries: map[string]memoryEntry{}, pending: map[string]uint64{}}
}

func (m *memory) get(key string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	entry, found := m.entries[key]
	if found && !m.now().Before(entry.until) {
		delete(m.entries, key)
		found = false
	}
	return entry.value, found
}

// begin says that a value is about to be read. What is invalidated between that and put is not kept: it is old.
func (m *memory) begin(key string) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ticket++
	m.pending[key] = m.ticket
	return m.ticket
}

// put keeps a value that was read since begin gave the ticket. Whoever began later for the same key is let through.
func (m *memory) put(key string, ticket uint64, value string, ttl time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pending[key] != ticket {
		return
	}
	delete(m.pending, key)
	if m.limit <= 0 || ttl <= 0 {
		return
	}
	if _, there := m.entries[key]; !there && len(m.entries) >= m.limit {
		for other := range m.entries { // in no order: any one
			delete(m.entries, other)
			break
		}
	}
	m.entries[key] = memoryEntry{value, m.now().Add(ttl)}
}

func (m *memory) invalidate(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
	delete(m.pending, key)
}

func (m *memory) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries, m.pending = map[string]memoryEntry{}, map[string]uint64{}
}

func (m *memory) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}
