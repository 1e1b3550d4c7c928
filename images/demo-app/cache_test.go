package main

import (
	"bufio"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAnswersAreRead(t *testing.T) {
	for text, want := range map[string]interface{}{
		"+OK\r\n":            "OK",
		":-7\r\n":            int64(-7),
		"_\r\n":              nil,
		"$-1\r\n":            nil,
		"$0\r\n\r\n":         "",
		"$4\r\na\r\nb\r\n":   "a\r\nb",
		"*2\r\n+a\r\n:1\r\n": []interface{}{"a", int64(1)},
		"%1\r\n+a\r\n+b\r\n": []interface{}{"a", "b"},
		">1\r\n+invalid\r\n": []interface{}{"invalid"},
		"*1\r\n-ERR no\r\n":  []interface{}{"ERR no"},
		"*1\r\n*1\r\n_\r\n":  []interface{}{[]interface{}{nil}},
		"=7\r\ntxt:abc\r\n":  "txt:abc",
	} {
		_, got, err := decode(bufio.NewReader(strings.NewReader(text)), 0)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v, %v, not %#v", text, got, err, want)
		}
	}
	if _, _, err := decode(bufio.NewReader(strings.NewReader("-ERR no\r\n")), 0); err != serverError("ERR no") {
		t.Errorf("an error of the server's is %v", err)
	}
}

func TestBrokenAnswersEndTheConnection(t *testing.T) {
	for _, text := range []string{
		"", "\n", "+", "x\r\n", "?1\r\n", "$9\r\nab\r\n", "$x\r\n", "$99999999\r\n", "*99999999\r\n", "*1\r\n",
		strings.Repeat("*1\r\n", 20) + "_\r\n",
	} {
		_, _, err := decode(bufio.NewReader(strings.NewReader(text)), 0)
		if _, refused := err.(serverError); err == nil || refused {
			t.Errorf("%q is no error: %v", text, err)
		}
	}
}

func TestMemoryKeepsWhatIsNewAndNoMore(t *testing.T) {
	c := newClock()
	m := newMemory(2, c.now)
	m.put("a", m.begin("a"), "1", time.Minute)
	if value, there := m.get("a"); !there || value != "1" {
		t.Fatalf("%q, %v", value, there)
	}
	stale := m.begin("a")
	m.invalidate("a")
	m.put("a", stale, "old", time.Minute)
	if _, there := m.get("a"); there {
		t.Error("a value that was invalidated while it was read is kept")
	}
	lost := m.begin("b")
	m.clear()
	m.put("b", lost, "old", time.Minute)
	if m.size() != 0 {
		t.Error("a value that was read before all was dropped is kept")
	}
	for _, key := range []string{"a", "b", "c"} {
		m.put(key, m.begin(key), "1", time.Minute)
	}
	if m.size() != 2 {
		t.Errorf("%d entries, 2 allowed", m.size())
	}
	c.at = c.at.Add(time.Minute)
	if _, there := m.get("c"); there {
		t.Error("an entry lives longer than its time")
	}
}

func TestTheChainIsFound(t *testing.T) {
	root := t.TempDir()
	if folder, err := findChain("", ""); folder != "" || err != nil {
		t.Errorf("%q, %v", folder, err)
	}
	if _, err := findChain("", "near"); err == nil {
		t.Error("a cache that is asked for and not bound is no error")
	}
	if folder, err := findChain(root, ""); folder != "" || err != nil {
		t.Errorf("%q, %v", folder, err)
	}
	for i, name := range []string{"near", "pages"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name, chainFile), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
		folder, err := findChain(root, "")
		if (i == 0) != (err == nil && folder == filepath.Join(root, "near")) {
			t.Errorf("with %d chains: %q, %v", i+1, folder, err)
		}
	}
	if folder, err := findChain(root, "pages"); err != nil || filepath.Base(folder) != "pages" {
		t.Errorf("%q, %v", folder, err)
	}
	if _, err := findChain(root, "gone"); err == nil {
		t.Error("a cache that is not there is no error")
	}
}

func TestChainsThatCannotBeUsedAreRefused(t *testing.T) {
	for _, text := range []string{
		"", "[]", `{"levels":[]}`, `{"levels":[{"name":"x","level":"Disk"}]}`,
		`{"levels":[{"name":"x","level":"Redis","namespaces":[{"name":"emb","ttlSeconds":1}]}]}`,
		`{"levels":[{"name":"x","level":"Redis","namespaces":[{"name":"emb","keyPrefix":"emb:g1:"}]}]}`,
	} {
		if _, err := parseChain([]byte(text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestAnAppWithoutACacheSaysSo(t *testing.T) {
	a := appWith(t, newClock(), nil)
	answer := ask(a, "GET", "/cached/emb/one", "")
	if answer.Code != 404 || !strings.Contains(answer.Body.String(), "no cache is bound") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestGenerationsHaveNumbers(t *testing.T) {
	for text, want := range map[string]int{"g1": 1, "g12r7": 12, "": 0, "x": 0} {
		if got := number(text); got != want {
			t.Errorf("%q is %d, not %d", text, got, want)
		}
	}
}
