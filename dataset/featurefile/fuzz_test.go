package featurefile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"blockprint"
)

// seal corrects the checksums of the header, the footer, and every chunk and column that the footer leads to, as far as
// the lengths before them lie within the file. Without it a changed byte would never reach the parser.
func seal(b []byte) []byte {
	b = bytes.Clone(b)
	le, head, size := binary.LittleEndian, int64(len(magic)+4), int64(len(b))
	if size < head+4+int64(trailerSize) {
		return b
	}
	sum := func(from, to, at int64) { le.PutUint32(b[at:], crc32.Checksum(b[from:to], castagnoli)) }
	n, tail := int64(le.Uint32(b[len(magic):])), size-int64(trailerSize)
	footerSize := int64(le.Uint32(b[tail:]))
	if n > size-head-4 || footerSize > tail {
		return b
	}
	h, err := decodeHeader(b[head : head+n])
	var end footer
	if json.Unmarshal(b[tail-footerSize:tail], &end) == nil && err == nil {
		for _, c := range end.Chunks {
			sealChunk(b, c.Offset, int64(len(h.Columns)))
		}
	}
	sum(tail-footerSize, tail, tail+4)
	sum(0, head+n, head+n)
	return b
}

// sealChunk corrects the checksums of the chunk at byte at.
func sealChunk(b []byte, at, columns int64) {
	le, size := binary.LittleEndian, int64(len(b))
	if at < 0 || at > size-12 {
		return
	}
	places := at + 12 + int64(le.Uint32(b[at+8:]))
	next := places + 8*columns + 4
	if next > size {
		return
	}
	data := next
	for i := range columns {
		place := places + 8*i
		n := int64(le.Uint32(b[place:]))
		if n > size-data {
			break
		}
		le.PutUint32(b[place+4:], crc32.Checksum(b[data:data+n], castagnoli))
		data += n
	}
	le.PutUint32(b[next-4:], crc32.Checksum(b[at:next-4], castagnoli))
}

// FuzzDecode: no file's content makes reading fail other than with an error, also when its checksums are right.
func FuzzDecode(f *testing.F) {
	path := filepath.Join(f.TempDir(), "x.features")
	w, err := Resume(path, NewHeader("test", "mainnet", "graffiti", []string{"a"}))
	if err != nil {
		f.Fatal(err)
	}
	rows := NewRows(1)
	for i := range 20 {
		rows.Add(blockprint.Slot(i), 1, blockprint.Root{1}, uint8(i%5), []float64{float64(i)})
	}
	w.Begin()
	if err := w.Append(rows); err != nil {
		f.Fatal(err)
	}
	w.End(Source{Path: "x"})
	if err := w.Finish(); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	if !bytes.Equal(seal(b), b) {
		f.Fatal("sealing a good file changes it")
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		b = seal(b)
		file, err := decode(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, c := range file.footer.Chunks {
			_ = file.readChunk(c, NewRows(1), []int{len(file.Header.Columns) - 1})
		}
	})
}
