package classify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"blockprint"
	"blockprint/feature"
	"blockprint/file"
)

// The model file (docs/model-format.md): magic, header length (uint32), header JSON, zeros up to a multiple of 8,
// the parts' payloads one after another, each padded to a multiple of 8, and the SHA-256 of everything before it.
const (
	magic         = "BPMODEL1"
	formatVersion = 1
)

type fileHeader struct {
	Format int          `json:"format"`
	Parts  []partHeader `json:"parts"`
}

type partHeader struct {
	PartInfo
	Length int `json:"length"` // of the payload, without padding
}

// Encode returns the model as a file's content.
func (m *Model) Encode() ([]byte, error) {
	var payloads bytes.Buffer
	h := fileHeader{Format: formatVersion}
	for i, p := range m.Parts {
		b, err := p.Predictor.AppendBinary(nil)
		if err != nil {
			return nil, fmt.Errorf("encode part %d of model: %w", i, err)
		}
		h.Parts = append(h.Parts, partHeader{p.PartInfo, len(b)})
		payloads.Write(b)
		payloads.Write(make([]byte, padding(len(b))))
	}
	header, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode model header: %w", err)
	}
	out := append([]byte(magic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[len(magic):], uint32(len(header)))
	out = append(out, header...)
	out = append(out, make([]byte, padding(len(out)))...)
	out = append(out, payloads.Bytes()...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// Save writes the model to a file, which is either complete or not there.
func (m *Model) Save(path string) error {
	b, err := m.Encode()
	if err != nil {
		return err
	}
	return file.WriteAtomic(path, b)
}

// Open reads a model file.
func Open(path string) (*Model, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blockprint.Errorf(blockprint.NotFound, "model %s does not exist: make one with `blockprint train`", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	m, err := Decode(b)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.CodeOf(err), "model %s: %w", path, err)
	}
	m.Name = filepath.Base(path) + "@" + hex.EncodeToString(b[len(b)-sha256.Size:][:4])
	return m, nil
}

// Decode reads a model file's content.
func Decode(b []byte) (*Model, error) {
	bad := func(format string, args ...any) error { return blockprint.Errorf(blockprint.Invalid, format, args...) }
	if len(b) < len(magic)+4+sha256.Size || string(b[:len(magic)]) != magic {
		return nil, bad("not a blockprint model file (a Python pickle of the original cannot be read: train again)")
	}
	body := b[:len(b)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], b[len(body):]) {
		return nil, bad("the checksum is wrong: the file is cut off or damaged")
	}
	n := int(binary.LittleEndian.Uint32(body[len(magic):]))
	rest := body[len(magic)+4:]
	if n > len(rest) {
		return nil, bad("the header does not end")
	}
	var h fileHeader
	if err := json.Unmarshal(rest[:n], &h); err != nil {
		return nil, bad("header: %w", err)
	}
	if h.Format != formatVersion {
		return nil, bad("format version %d: this program reads version %d", h.Format, formatVersion)
	}
	if len(h.Parts) == 0 {
		return nil, bad("no parts")
	}
	padded := len(magic) + 4 + n + padding(len(magic)+4+n)
	if padded > len(body) {
		return nil, bad("the header is not followed by zeros up to a multiple of 8")
	}
	rest = body[padded:]
	m := &Model{}
	for i, ph := range h.Parts {
		if ph.Length < 0 || ph.Length > len(rest) || ph.Length+padding(ph.Length) > len(rest) {
			return nil, bad("part %d is cut off", i)
		}
		p, err := decodePart(ph, rest[:ph.Length])
		if err != nil {
			return nil, err
		}
		m.Parts = append(m.Parts, p)
		rest = rest[ph.Length+padding(ph.Length):]
	}
	if len(rest) > 0 {
		return nil, bad("%d bytes after the last part", len(rest))
	}
	return m, m.checkRanges()
}

func decodePart(ph partHeader, payload []byte) (Part, error) {
	known := feature.Names()
	for _, f := range ph.Features {
		if !slices.Contains(known, f) {
			return Part{}, blockprint.Errorf(blockprint.Conflict, "needs feature %q, which this version does not know: train again, or use the version that made it (%s)", f, ph.Training.Tool)
		}
	}
	for i, c := range ph.Classes {
		if _, err := blockprint.ParseClient(string(c)); err != nil {
			return Part{}, blockprint.Errorf(blockprint.Conflict, "class %d: %w", i, err)
		}
		if i > 0 && c <= ph.Classes[i-1] {
			return Part{}, blockprint.Errorf(blockprint.Invalid, "the classes %v are not sorted by name", ph.Classes)
		}
	}
	a := Lookup(ph.Type)
	if a == nil {
		return Part{}, blockprint.Errorf(blockprint.Conflict, "classifier type %q is not known to this version", ph.Type)
	}
	p, err := a.Decode(payload)
	if err != nil {
		return Part{}, err
	}
	if f, c := p.Shape(); f != len(ph.Features) || c != len(ph.Classes) {
		return Part{}, blockprint.Errorf(blockprint.Invalid, "header and payload disagree: %d features and %d classes against %d and %d", len(ph.Features), len(ph.Classes), f, c)
	}
	if !ph.Calibration.valid(len(ph.Classes)) {
		return Part{}, blockprint.Errorf(blockprint.Invalid, "impossible calibration")
	}
	ph.ForksBySlots()
	return Part{ph.PartInfo, p}, nil
}

func padding(n int) int { return -n & 7 }
