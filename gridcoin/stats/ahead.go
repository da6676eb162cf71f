package stats

import (
	"errors"
	"io"
)

// ahead reads from another reader in a goroutine of its own, up to two buffers ahead: unpacking a text and reading it then
// happen at the same time.
type ahead struct {
	full    chan []byte
	free    chan []byte
	stop    chan struct{}
	stopped chan struct{}
	err     error // why reading ended; set before full is closed
	buf     []byte
	rest    []byte // what of buf was not handed out yet
}

const (
	aheadBuffers = 2
	aheadBytes   = 1 << 18
)

func newAhead(r io.Reader) *ahead {
	a := &ahead{full: make(chan []byte, aheadBuffers), free: make(chan []byte, aheadBuffers), stop: make(chan struct{}), stopped: make(chan struct{})}
	for range aheadBuffers {
		a.free <- make([]byte, aheadBytes)
	}
	go a.run(r)
	return a
}

func (a *ahead) run(r io.Reader) {
	defer close(a.stopped)
	defer close(a.full)
	for a.err == nil {
		select {
		case <-a.stop:
			return
		case b := <-a.free:
			n := 0
			for n < len(b) && a.err == nil {
				var k int
				k, a.err = r.Read(b[n:])
				n += k
			}
			a.full <- b[:n] // there is room for all buffers
		}
	}
}

// Read implements io.Reader.
func (a *ahead) Read(b []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.buf != nil {
			a.free <- a.buf[:cap(a.buf)]
			a.buf = nil
		}
		next, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.buf, a.rest = next, next
	}
	n := copy(b, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// close ends reading, and returns when the other reader is not touched any more.
func (a *ahead) close() {
	close(a.stop)
	<-a.stopped
}

// limited refuses text beyond a limit, as a bomb has.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("the text is longer than allowed: it may be a bomb")
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}
