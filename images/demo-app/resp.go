package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// A client of Redis, as small as the app needs it: RESP3, one connection, several requests on their way at once, and what
// the server tells on its own (push messages), in the order in which it came among the answers.

const (
	respDialLimit    = time.Second
	respRequestLimit = time.Second
	respBulkLimit    = 8 << 20 // bytes of one text; more is taken for a broken stream
	respItemLimit    = 1 << 16 // items of one list
	respDepthLimit   = 8
)

// serverError is an error that the server answered: the connection goes on.
type serverError string

func (e serverError) Error() string { return string(e) }

var errClosed = errors.New("the connection is closed")

// redisAccess says where a server is, and who connects.
type redisAccess struct {
	address  string
	username string
	password string
	tls      *tls.Config // nil: none
}

type respReply struct {
	value interface{} // nil, string, int64, []interface{}
	err   error
}

type respPush func(kind string, rest []interface{})

// respConn is one connection. When it breaks, every request on its way fails and closed is called, once.
type respConn struct {
	conn   net.Conn
	push   respPush
	closed func(error)

	mu      sync.Mutex // also keeps requests and waiters in the same order
	waiters []chan respReply
	broken  error
}

// dialRedis connects, says who it is, and turns RESP3 on.
func dialRedis(access redisAccess, push respPush, closed func(error)) (*respConn, error) {
	raw, err := net.DialTimeout("tcp", access.address, respDialLimit)
	if err != nil {
		return nil, err
	}
	if access.tls != nil {
		secure := tls.Client(raw, access.tls)
		_ = secure.SetDeadline(time.Now().Add(respDialLimit))
		if err := secure.Handshake(); err != nil {
			raw.Close()
			return nil, err
		}
		_ = secure.SetDeadline(time.Time{})
		raw = secure
	}
	c := &respConn{conn: raw, push: push, closed: closed}
	go c.read()
	hello := []string{"HELLO", "3"}
	if access.password != "" {
		name := access.username
		if name == "" {
			name = "default"
		}
		hello = append(hello, "AUTH", name, access.password)
	}
	if _, err := c.do(hello...); err != nil {
		c.fail(err)
		return nil, err
	}
	return c, nil
}

// do sends one command and waits for its answer.
func (c *respConn) do(parts ...string) (interface{}, error) {
	answer := make(chan respReply, 1)
	c.mu.Lock()
	if c.broken != nil {
		err := c.broken
		c.mu.Unlock()
		return nil, err
	}
	c.waiters = append(c.waiters, answer)
	_ = c.conn.SetWriteDeadline(time.Now().Add(respRequestLimit))
	_, err := c.conn.Write(encode(parts))
	c.mu.Unlock()
	if err != nil {
		c.fail(err)
	}
	limit := time.NewTimer(respRequestLimit)
	defer limit.Stop()
	select {
	case reply := <-answer:
		return reply.value, reply.err
	case <-limit.C:
		// Which answer is whose would not be known any more.
		err := fmt.Errorf("no answer within %v", respRequestLimit)
		c.fail(err)
		return nil, err
	}
}

func (c *respConn) close() { c.fail(errClosed) }

func (c *respConn) isBroken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken != nil
}

func (c *respConn) fail(err error) {
	c.mu.Lock()
	if c.broken != nil {
		c.mu.Unlock()
		return
	}
	c.broken = err
	waiters := c.waiters
	c.waiters = nil
	c.mu.Unlock()
	c.conn.Close()
	for _, waiter := range waiters {
		waiter <- respReply{err: err}
	}
	if c.closed != nil {
		c.closed(err)
	}
}

func (c *respConn) read() {
	in := bufio.NewReader(c.conn)
	for {
		kind, value, err := decode(in, 0)
		if err != nil {
			if _, refused := err.(serverError); !refused {
				c.fail(err)
				return
			}
		}
		if kind == '>' {
			items, _ := value.([]interface{})
			if len(items) > 0 {
				name, _ := items[0].(string)
				c.push(name, items[1:])
			}
			continue
		}
		c.mu.Lock()
		if len(c.waiters) == 0 {
			c.mu.Unlock()
			c.fail(errors.New("an answer that nobody asked for"))
			return
		}
		waiter := c.waiters[0]
		c.waiters = c.waiters[1:]
		c.mu.Unlock()
		waiter <- respReply{value, err}
	}
}

func encode(parts []string) []byte {
	out := []byte("*" + strconv.Itoa(len(parts)) + "\r\n")
	for _, part := range parts {
		out = append(out, "$"+strconv.Itoa(len(part))+"\r\n"+part+"\r\n"...)
	}
	return out
}

// decode reads one message. An error of the server's is a serverError; any other ends the connection.
func decode(in *bufio.Reader, depth int) (kind byte, value interface{}, err error) {
	if depth > respDepthLimit {
		return 0, nil, errors.New("an answer nested too deeply")
	}
	line, err := readLine(in)
	if err != nil {
		return 0, nil, err
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ',', '(', '#':
		return kind, rest, nil
	case '-':
		return kind, nil, serverError(rest)
	case ':':
		number, err := strconv.ParseInt(rest, 10, 64)
		return kind, number, err
	case '_':
		return kind, nil, nil
	case '$', '=', '!':
		text, null, err := readBulk(in, rest)
		if err != nil || null {
			return kind, nil, err
		}
		if kind == '!' {
			return kind, nil, serverError(text)
		}
		return kind, text, nil
	case '*', '~', '>', '%':
		items, err := readItems(in, kind, rest, depth)
		if items == nil {
			return kind, nil, err
		}
		return kind, items, err
	}
	return 0, nil, fmt.Errorf("an answer of a kind that is not known: %q", kind)
}

func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return "", errors.New("a broken line in the answer")
	}
	return string(line[:len(line)-2]), nil
}

func readBulk(in *bufio.Reader, length string) (text string, null bool, err error) {
	size, err := strconv.Atoi(length)
	if err != nil || size > respBulkLimit {
		return "", false, fmt.Errorf("a text of the length %q", length)
	}
	if size < 0 {
		return "", true, nil
	}
	content := make([]byte, size+2)
	if _, err := io.ReadFull(in, content); err != nil {
		return "", false, err
	}
	return string(content[:size]), false, nil
}

func readItems(in *bufio.Reader, kind byte, length string, depth int) ([]interface{}, error) {
	count, err := strconv.Atoi(length)
	if err != nil || count > respItemLimit {
		return nil, fmt.Errorf("a list of the length %q", length)
	}
	if count < 0 {
		return nil, nil
	}
	if kind == '%' {
		count *= 2
	}
	items := make([]interface{}, 0, count)
	for i := 0; i < count; i++ {
		_, item, err := decode(in, depth+1)
		if err != nil {
			if _, refused := err.(serverError); !refused {
				return nil, err
			}
			item = err.Error()
		}
		items = append(items, item)
	}
	return items, nil
}
