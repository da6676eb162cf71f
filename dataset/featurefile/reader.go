package featurefile

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"blockprint"
)

// File is an open feature file. It is safe for concurrent use.
type File struct {
	Header Header
	r      io.ReaderAt
	size   int64
	footer footer
	close  func() error
}

// IsFile reports whether a path is a feature file, by its first bytes.
func IsFile(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // read only
	var head [len(magic)]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && string(head[:]) == magic
}

// Open opens a finished feature file.
func Open(path string) (*File, error) {
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		hint := ""
		if _, err := os.Stat(partialPath(path)); err == nil {
			hint = ", but " + partialPath(path) + " does: run the same `blockprint prepare` again to finish it"
		}
		return nil, blockprint.Errorf(blockprint.NotFound, "feature file %s does not exist%s", path, hint)
	}
	if err != nil {
		return nil, fmt.Errorf("feature file: %w", err)
	}
	f, err := newFile(in)
	if err != nil {
		return nil, errors.Join(blockprint.Errorf(blockprint.CodeOf(err), "feature file %s: %w", path, err), in.Close())
	}
	f.close = in.Close
	return f, nil
}

func newFile(in *os.File) (*File, error) {
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	return decode(in, info.Size())
}

// decode reads header and footer.
func decode(in io.ReaderAt, size int64) (*File, error) {
	h, start, err := readHeader(in, size)
	if err != nil {
		return nil, err
	}
	f := &File{Header: h, r: in, size: size}
	bad := func(what string) error { return blockprint.Errorf(blockprint.Invalid, "%s", what) }
	tail := make([]byte, trailerSize)
	if size < start+int64(trailerSize) {
		return nil, bad("the file is cut off")
	}
	if _, err := in.ReadAt(tail, size-int64(trailerSize)); err != nil {
		return nil, err
	}
	if string(tail[8:]) != endMagic {
		return nil, bad("the file is cut off: it does not end as a feature file does")
	}
	n := int64(binary.LittleEndian.Uint32(tail))
	if n > size-start-int64(trailerSize) {
		return nil, bad("the footer does not fit into the file")
	}
	text := make([]byte, n)
	if _, err := in.ReadAt(text, size-int64(trailerSize)-n); err != nil {
		return nil, err
	}
	if crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(tail[4:]) {
		return nil, bad("the footer's checksum is wrong: the file is damaged")
	}
	if err := json.Unmarshal(text, &f.footer); err != nil {
		return nil, bad("footer: " + err.Error())
	}
	rows, next := 0, start
	for _, c := range f.footer.Chunks { // each stands once, so that a file cannot hold more rows than it has room for
		if c.Rows < 0 || c.Rows > chunkRows || c.Offset < next || c.Offset >= size {
			return nil, bad("footer: a chunk out of place")
		}
		rows, next = rows+c.Rows, c.Offset+1
	}
	if rows != f.footer.Rows {
		return nil, bad("footer: the number of rows is wrong")
	}
	return f, nil
}

// readHeader returns the header and where it ends.
func readHeader(in io.ReaderAt, size int64) (Header, int64, error) {
	const head = int64(len(magic) + 4)
	bad := func(what string) (Header, int64, error) {
		return Header{}, 0, blockprint.Errorf(blockprint.Invalid, "%s", what)
	}
	if size < head+4 {
		return bad("not a feature file: it is too short")
	}
	b := make([]byte, head)
	if _, err := in.ReadAt(b, 0); err != nil {
		return Header{}, 0, err
	}
	if string(b[:len(magic)]) != magic {
		return bad("not a feature file (make one with `blockprint prepare RAW -o FILE`)")
	}
	n := int64(binary.LittleEndian.Uint32(b[len(magic):]))
	if n > size-head-4 {
		return bad("the header does not end: the file is cut off")
	}
	b = append(b, make([]byte, n+4)...)
	if _, err := in.ReadAt(b[head:], head); err != nil {
		return Header{}, 0, err
	}
	if crc32.Checksum(b[:head+n], castagnoli) != binary.LittleEndian.Uint32(b[head+n:]) {
		return bad("the header's checksum is wrong: the file is damaged")
	}
	h, err := decodeHeader(b[head : head+n])
	return h, head + n + 4, err
}

// Close closes the file.
func (f *File) Close() error { return f.close() }

// Rows returns the number of blocks.
func (f *File) Rows() int { return f.footer.Rows }

// Counts returns the number of blocks of each client.
func (f *File) Counts() map[blockprint.Client]int { return f.footer.Clients }

// Sources gives the input files whose blocks are in the file, in order.
func (f *File) Sources() ([]Source, error) {
	var out []Source
	for _, c := range f.footer.Chunks {
		h, err := f.chunkAt(c.Offset)
		if err != nil {
			return nil, err
		}
		out = append(out, h.meta.Sources...)
	}
	return out, nil
}

// chunkAt reads a chunk's header.
func (f *File) chunkAt(at int64) (chunkHeader, error) {
	var c chunkHeader
	bad := func(what string) (chunkHeader, error) {
		return c, blockprint.Errorf(blockprint.Invalid, "chunk at byte %d: %s", at, what)
	}
	const head = 12
	b := make([]byte, head)
	if at+head > f.size {
		return bad("cut off")
	}
	if _, err := f.r.ReadAt(b, at); err != nil {
		return c, err
	}
	le := binary.LittleEndian
	if string(b[:4]) != chunkMagic {
		return bad("it does not start as a chunk does")
	}
	c.rows = int(le.Uint32(b[4:]))
	metaLength := int64(le.Uint32(b[8:]))
	rest := metaLength + 8*int64(len(f.Header.Columns)) + 4
	if at+head+rest > f.size {
		return bad("cut off")
	}
	b = append(b, make([]byte, rest)...)
	if _, err := f.r.ReadAt(b[head:], at+head); err != nil {
		return c, err
	}
	if end := len(b) - 4; crc32.Checksum(b[:end], castagnoli) != le.Uint32(b[end:]) {
		return bad("the checksum of its header is wrong: the file is damaged")
	}
	if c.rows > chunkRows {
		return bad("too many rows")
	}
	if err := json.Unmarshal(b[head:head+metaLength], &c.meta); err != nil {
		return bad(err.Error())
	}
	c.size = int64(len(b))
	for p := b[head+metaLength : len(b)-4]; len(p) > 0; p = p[8:] {
		place := columnPlace{c.size, int(le.Uint32(p)), le.Uint32(p[4:])}
		c.size += int64(place.length)
		c.columns = append(c.columns, place)
	}
	if at+c.size > f.size {
		return bad("cut off")
	}
	return c, nil
}

// decoders are shared: making one allocates its window.
var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil { // the options are constant
		panic(err)
	}
	return d
}}

// readChunk appends a chunk's rows: its fixed columns and the features at the given places of the header's
// columns, to rows.Values in that order.
func (f *File) readChunk(info chunkInfo, rows *Rows, features []int) error {
	c, err := f.chunkAt(info.Offset)
	if err != nil {
		return err
	}
	if c.rows != info.Rows {
		return blockprint.Errorf(blockprint.Invalid, "chunk at byte %d: header and footer disagree about its rows", info.Offset)
	}
	d, _ := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	var packed, raw []byte
	for i, col := range f.Header.Columns {
		at := slices.Index(features, i)
		if col.Type == "f64" && at < 0 {
			continue
		}
		place := c.columns[i]
		if packed = slices.Grow(packed[:0], place.length)[:place.length]; len(packed) > 0 {
			if _, err := f.r.ReadAt(packed, info.Offset+place.offset); err != nil {
				return fmt.Errorf("column %s: %w", col.Name, err)
			}
		}
		if crc32.Checksum(packed, castagnoli) != place.crc {
			return blockprint.Errorf(blockprint.Invalid, "chunk at byte %d, column %s: the checksum is wrong: the file is damaged", info.Offset, col.Name)
		}
		if raw, err = d.DecodeAll(packed, raw[:0]); err != nil {
			return blockprint.Errorf(blockprint.Invalid, "chunk at byte %d, column %s: %w", info.Offset, col.Name, err)
		}
		if len(raw) != c.rows*typeSize(col.Type) {
			return blockprint.Errorf(blockprint.Invalid, "chunk at byte %d, column %s: wrong length", info.Offset, col.Name)
		}
		if err := f.fill(rows, col, at, raw, c.rows); err != nil {
			return err
		}
	}
	return nil
}

// fill appends one column of n values to rows; feature is its place in rows.Values.
func (f *File) fill(rows *Rows, col Column, feature int, raw []byte, n int) error {
	switch {
	case col.Type == "f64":
		out := slices.Grow(rows.Values[feature], n)
		start := len(out)
		out = out[:start+n]
		unshuffle(raw, n, func(i int, v uint64) { out[start+i] = math.Float64frombits(v) })
		rows.Values[feature] = out
	case col.Name == columnSlot:
		unshuffle(raw, n, func(_ int, v uint64) { rows.Slots = append(rows.Slots, blockprint.Slot(v)) })
	case col.Name == columnProposer:
		unshuffle(raw, n, func(_ int, v uint64) { rows.Proposers = append(rows.Proposers, v) })
	case col.Name == columnRoot:
		for ; len(raw) > 0; raw = raw[32:] {
			rows.Roots = append(rows.Roots, blockprint.Root(raw[:32]))
		}
	case col.Name == columnClient:
		if len(raw) > 0 && int(slices.Max(raw)) >= len(f.Header.Clients) {
			return blockprint.Errorf(blockprint.Invalid, "a label that the header does not name")
		}
		rows.Clients = append(rows.Clients, bytes.Clone(raw)...)
	}
	return nil
}

// Read calls each with the rows of every chunk, in order; chunks are read ahead on all cores. The rows hold the
// named features, in that order, and each may keep them.
func (f *File) Read(ctx context.Context, features []string, each func(*Rows) error) error {
	var places []int
	for _, name := range features {
		at := slices.IndexFunc(f.Header.Columns, func(c Column) bool { return c.Name == name && c.Type == "f64" })
		if at < 0 {
			return blockprint.Errorf(blockprint.Invalid, "the feature file has no feature %q: it has %v", name, f.Header.Features())
		}
		places = append(places, at)
	}
	g, ctx := errgroup.WithContext(ctx)
	ahead := make(chan chan *Rows, runtime.GOMAXPROCS(0))
	work := make(chan func() error)
	g.Go(func() error {
		defer close(ahead)
		defer close(work)
		for _, info := range f.footer.Chunks {
			result := make(chan *Rows, 1)
			job := func() error {
				rows := NewRows(len(places))
				err := f.readChunk(info, rows, places)
				if err == nil {
					result <- rows
				}
				return err
			}
			select {
			case ahead <- result:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case work <- job:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for job := range work {
				if err := job(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		for result := range ahead {
			select {
			case rows := <-result:
				if err := each(rows); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}
