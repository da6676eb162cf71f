package featurefile

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"

	"blockprint"
)

// Writer writes a feature file. It is not safe for concurrent use.
type Writer struct {
	path   string
	header Header
	f      *os.File
	offset int64 // end of the last chunk
	footer footer
	done   map[string]Source

	rows     *Rows    // not yet written
	finished []Source // ended in rows
	open     bool     // a source is being appended
	mark     int      // rows before the open source's first
	safe     position // the end of the last chunk before the open source's first one

	encoder *zstd.Encoder
	columns [][]byte
	out     []byte
}

// position is a state of the file to which Abort can return.
type position struct {
	offset int64
	chunks int
}

// partialPath is where a file is until it is finished.
func partialPath(path string) string { return path + ".partial" }

// Resume starts a feature file, or continues what an earlier run left: path.partial if it exists, else a copy of the
// finished file at path, to which it adds the blocks of further sources. A file with other
// features, network or labels is a Conflict.
func Resume(path string, h Header) (*Writer, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("feature file: %w", err)
	}
	w := &Writer{path: path, header: h, done: map[string]Source{}, rows: NewRows(len(h.Features())), encoder: encoder, columns: make([][]byte, len(h.Columns))}
	w.footer.Clients = map[blockprint.Client]int{}
	partial := partialPath(path)
	if _, err := os.Stat(partial); errors.Is(err, fs.ErrNotExist) {
		if err := copyIfThere(path, partial); err != nil {
			return nil, err
		}
	}
	if w.f, err = os.OpenFile(partial, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, fmt.Errorf("feature file: %w", err)
	}
	if err := w.recover(); err != nil {
		err = blockprint.Errorf(blockprint.CodeOf(err), "cannot continue %s: %w; remove it to start again", partial, err)
		return nil, errors.Join(err, w.f.Close())
	}
	return w, nil
}

func copyIfThere(from, to string) (err error) {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("feature file: %w", err)
	}
	defer func() { _ = in.Close() }() // read only
	out, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("feature file: %w", err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(fmt.Errorf("copy %s: %w", from, err), os.Remove(to))
	}
	return nil
}

// recover reads the chunks that are there, up to the last place at which all rows are of whole sources.
func (w *Writer) recover() error {
	size, err := w.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	r := &File{r: w.f, size: size}
	h, end, err := readHeader(r.r, size)
	if err != nil && size < 4096 { // killed before the header was whole
		return w.begin()
	}
	if err != nil {
		return err
	}
	if err := h.sameData(&w.header); err != nil {
		return err
	}
	w.header.Tool = h.Tool
	r.Header = h
	w.offset = end
	for at := end; at < size; {
		c, err := r.chunkAt(at)
		if err != nil {
			break // the footer, or where the last run was interrupted
		}
		w.footer.Chunks = append(w.footer.Chunks, chunkInfo{at, c.rows})
		at += c.size
		for _, s := range c.meta.Sources {
			w.done[s.Path] = s
		}
		if !c.meta.Open {
			w.offset = at
			w.safe.chunks = len(w.footer.Chunks)
		}
	}
	w.footer.Chunks = w.footer.Chunks[:w.safe.chunks]
	for _, c := range w.footer.Chunks {
		rows := NewRows(0)
		if err := r.readChunk(c, rows, nil); err != nil {
			return err
		}
		w.count(rows)
	}
	return w.f.Truncate(w.offset)
}

// begin writes the header of a new file.
func (w *Writer) begin() error {
	text, err := json.Marshal(w.header)
	if err != nil {
		return err
	}
	b := append([]byte(magic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[len(magic):], uint32(len(text)))
	b = append(b, text...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	w.offset = int64(len(b))
	if err := w.f.Truncate(0); err != nil {
		return err
	}
	_, err = w.f.WriteAt(b, 0)
	return err
}

func (w *Writer) count(rows *Rows) {
	w.footer.Rows += len(rows.Clients)
	for _, c := range rows.Clients {
		w.footer.Clients[w.header.Clients[c]]++
	}
}

// Done returns the sources that are in the file, by path.
func (w *Writer) Done() map[string]Source { return w.done }

// Begin starts a source.
func (w *Writer) Begin() {
	w.open, w.mark = true, w.rows.Len()
	w.safe = position{w.offset, len(w.footer.Chunks)}
}

// Append adds labeled rows of the present source.
func (w *Writer) Append(rows *Rows) error {
	for from := 0; from < rows.Len(); {
		n := min(chunkRows-w.rows.Len(), rows.Len()-from)
		w.rows.append(rows.Slice(from, from+n))
		from += n
		if w.rows.Len() == chunkRows {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the pending rows: those of whole sources as a chunk, then those of the open source as another, which
// Abort can take away again.
func (w *Writer) flush() error {
	if !w.open {
		w.mark = w.rows.Len()
	}
	if w.mark > 0 || len(w.finished) > 0 {
		whole := w.rows.Slice(0, w.mark)
		if err := w.chunk(whole, chunkMeta{Sources: w.finished}); err != nil {
			return err
		}
		w.finished = nil
		w.safe = position{w.offset, len(w.footer.Chunks)}
	}
	if w.mark < w.rows.Len() {
		if err := w.chunk(w.rows.Slice(w.mark, w.rows.Len()), chunkMeta{Open: true}); err != nil {
			return err
		}
	}
	w.rows.keep(0)
	w.mark = 0
	return nil
}

func (w *Writer) chunk(rows *Rows, meta chunkMeta) error {
	feature := 0
	var raw []byte
	for i, c := range w.header.Columns {
		raw = rows.column(raw[:0], c, feature)
		if c.Type == "f64" {
			feature++
		}
		w.columns[i] = w.encoder.EncodeAll(raw, w.columns[i][:0])
	}
	var err error
	if w.out, err = appendChunk(w.out[:0], rows.Len(), meta, w.columns); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(w.out, w.offset); err != nil {
		return fmt.Errorf("feature file: %w", err)
	}
	w.footer.Chunks = append(w.footer.Chunks, chunkInfo{w.offset, rows.Len()})
	w.offset += int64(len(w.out))
	w.count(rows)
	return nil
}

// End closes the present source, which was read whole.
func (w *Writer) End(s Source) {
	w.finished = append(w.finished, s)
	w.done[s.Path] = s
	w.open = false
}

// Flush writes what was ended, so that a crash loses nothing of it.
func (w *Writer) Flush() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("feature file: %w", err)
	}
	return nil
}

// Abort takes the present source's rows away again.
func (w *Writer) Abort() error {
	w.open = false
	w.rows.keep(w.mark)
	if len(w.footer.Chunks) == w.safe.chunks {
		return nil
	}
	r := &File{r: w.f, size: w.offset, Header: w.header}
	for _, c := range w.footer.Chunks[w.safe.chunks:] {
		rows := NewRows(0)
		if err := r.readChunk(c, rows, nil); err != nil {
			return err
		}
		w.footer.Rows -= len(rows.Clients)
		for _, c := range rows.Clients {
			w.footer.Clients[w.header.Clients[c]]--
		}
	}
	w.footer.Chunks = w.footer.Chunks[:w.safe.chunks]
	w.offset = w.safe.offset
	if err := w.f.Truncate(w.offset); err != nil {
		return fmt.Errorf("feature file: %w", err)
	}
	return nil
}

// Summary returns the number of blocks of each client written so far, those of the present chunk left out.
func (w *Writer) Summary() map[blockprint.Client]int { return w.footer.Clients }

// Finish writes what is left and the footer, and gives the file its name.
func (w *Writer) Finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	for c, n := range w.footer.Clients {
		if n == 0 {
			delete(w.footer.Clients, c)
		}
	}
	text, err := json.Marshal(w.footer)
	if err != nil {
		return fmt.Errorf("feature file: %w", err)
	}
	b := append([]byte(nil), text...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(text, castagnoli))
	b = append(b, endMagic...)
	_, err = w.f.WriteAt(b, w.offset)
	if err = errors.Join(err, w.f.Sync(), w.f.Close()); err != nil {
		return fmt.Errorf("feature file: %w", err)
	}
	if err := os.Rename(partialPath(w.path), w.path); err != nil {
		return fmt.Errorf("feature file: %w", err)
	}
	return nil
}

// Close leaves the file unfinished; Resume continues after its complete chunks.
func (w *Writer) Close() error { return w.f.Close() }
