package rewardfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"blockprint"
)

// Reader reads one input after another, reusing its memory. It is not safe for concurrent use.
type Reader struct {
	// Info describes the file that ReadFile has opened. It is nil for standard input.
	Info fs.FileInfo

	r       io.Reader
	buf     []byte
	start   int // first byte of buf not yet consumed
	offset  int64
	line    int
	inArray bool
	eof     bool
	blocks  int
	s       scanner
	state   readerState
	block   blockprint.BlockReward
}

type readerState int

const (
	atStart readerState = iota
	afterElement
	atEnd
)

// MaxSize is the length of the longest JSON text of one block that is read. Real ones have less than 1 MB.
const MaxSize = 64 << 20

// Read returns the rewards in an input, as Reader.Read does.
func Read(in io.Reader) iter.Seq2[*blockprint.BlockReward, error] { return new(Reader).Read(in) }

// Read returns the rewards in an input: one object, an array of objects, or objects one after another, of any total size.
// Only one block is in memory: a reward is valid until the next one unless it is cloned. The sequence ends with an error if
// something is wrong; it names the line and the byte offset.
func (r *Reader) Read(in io.Reader) iter.Seq2[*blockprint.BlockReward, error] {
	return func(yield func(*blockprint.BlockReward, error) bool) {
		*r = Reader{Info: r.Info, r: in, line: 1, buf: r.buf[:0], s: scanner{seen: r.s.seen, stamp: r.s.stamp, ends: r.s.ends}, block: r.block}
		for {
			err := r.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&r.block, nil) {
				return
			}
		}
	}
}

// next reads the next reward into r.block. It returns io.EOF after the last one.
func (r *Reader) next() error {
	if err := r.toElement(); err != nil {
		return err
	}
	for {
		r.s.data, r.s.pos, r.s.depth = r.buf[r.start:], 0, 0
		err := r.s.reward(&r.block)
		if err == nil {
			break
		}
		var syntax *syntaxError
		if !errors.As(err, &syntax) || !syntax.cut {
			return r.failed(err)
		}
		// The text may continue: read more, twice as much each time, and start the block over.
		if len(r.s.data) > MaxSize {
			return blockprint.Errorf(blockprint.TooLarge, "line %d, byte %d: a block reward is longer than %d bytes", r.line, r.offset, MaxSize)
		}
		more, readErr := r.fill()
		if readErr != nil {
			return readErr
		}
		if !more {
			return r.syntax("block %d does not end: the text is cut off", r.blocks+1)
		}
	}
	r.consume(r.s.pos)
	r.blocks++
	r.state = afterElement
	return nil
}

// failed adds to an error where in the text it is.
func (r *Reader) failed(err error) error {
	at := 0
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		at = syntax.pos
	}
	line := r.line + bytes.Count(r.s.data[:min(at, len(r.s.data))], []byte("\n"))
	return blockprint.Errorf(blockprint.Invalid, "block %d, line %d, byte %d: %w", r.blocks+1, line, r.offset+int64(at), err)
}

func (r *Reader) consume(n int) {
	r.line += bytes.Count(r.buf[r.start:r.start+n], []byte("\n"))
	r.start += n
	r.offset += int64(n)
}

// fill reads more input, at least as much as it has already, so that starting a block over costs little. It returns
// false at the end of the input.
func (r *Reader) fill() (bool, error) {
	if r.eof {
		return false, nil
	}
	if r.start > 0 {
		r.buf = append(r.buf[:0], r.buf[r.start:]...)
		r.start = 0
	}
	const chunk = 1 << 18
	old := len(r.buf)
	if cap(r.buf)-old < chunk {
		grown := make([]byte, old, 2*cap(r.buf)+chunk)
		copy(grown, r.buf)
		r.buf = grown
	}
	for enough := min(old+max(old, 1<<16), cap(r.buf)); len(r.buf) < enough && !r.eof; {
		n, err := r.r.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		switch {
		case errors.Is(err, io.EOF):
			r.eof = true
		case err != nil:
			return false, blockprint.Errorf(blockprint.Invalid, "after byte %d: %w", r.offset+int64(len(r.buf)), err)
		}
	}
	return len(r.buf) > old, nil
}

// peekByte returns the next byte that is not white space, without consuming it.
func (r *Reader) peekByte() (byte, error) {
	for {
		for r.start < len(r.buf) {
			c := r.buf[r.start]
			if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
				return c, nil
			}
			r.consume(1)
		}
		more, err := r.fill()
		if err != nil {
			return 0, err
		}
		if !more && r.eof && r.start >= len(r.buf) {
			return 0, io.EOF
		}
	}
}

func (r *Reader) syntax(format string, args ...any) error {
	return blockprint.Errorf(blockprint.Invalid, "line %d, byte %d: %s", r.line, r.offset, fmt.Sprintf(format, args...))
}

// toElement advances to the next object, past brackets and commas.
func (r *Reader) toElement() error {
	c, err := r.peekByte()
	if errors.Is(err, io.EOF) {
		switch {
		case r.inArray && r.state != atEnd:
			return r.syntax("the array does not end: the text is cut off after %d blocks", r.blocks)
		case r.state == atStart:
			return r.syntax("empty: expected a block reward or an array of them")
		}
		return io.EOF
	}
	if err != nil {
		return err
	}
	switch {
	case r.state == atEnd:
		return r.syntax("text after the end of the array")
	case c == '[' && r.state == atStart && !r.inArray:
		r.inArray = true
		r.consume(1)
		return r.toElement()
	case c == ']' && r.inArray:
		r.consume(1)
		r.state = atEnd
		return r.toElement()
	case r.inArray && r.state == afterElement:
		if c != ',' {
			return r.syntax("expected ',' or ']', found %q", c)
		}
		r.consume(1)
		r.state = atStart
		if c, err = r.peekByte(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if c != '{' {
		return r.syntax("expected a block reward object, found %q", c)
	}
	return nil
}
