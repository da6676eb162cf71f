package recording

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"blockprint"
)

// A recording that was cut anywhere goes on after its last whole slot, as if it had never ended.
func TestContinue(t *testing.T) {
	packed, want := sample(t)
	text := unpack(t, packed.Bytes())
	for cut := strings.Index(text, `{"type":"shuffling"`); cut <= len(text); cut += 97 {
		path := filepath.Join(t.TempDir(), "recording.jsonl.gz")
		var begun bytes.Buffer
		z := gzip.NewWriter(&begun)
		_, err := z.Write([]byte(text[:cut]))
		if err = errors.Join(err, z.Flush()); err != nil { // and no Close: the process was killed
			t.Fatal(err)
		}
		if err := os.WriteFile(path, begun.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		whole := 0
		w, err := Continue(path, &out, func(_ *Reader, s *Slot) error {
			if !reflect.DeepEqual(s, want[whole]) {
				t.Errorf("cut after %d bytes: slot %d is not what was written", cut, s.Slot)
			}
			whole++
			return nil
		})
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", cut, err)
		}
		if w.Has(0) == nil {
			s := &Shuffling{Epoch: 0, Decision: blockprint.Root{1}}
			for range 8 {
				s.Members = append(s.Members, [][]uint32{{6, 5, 4}, {0, 1, 2, 3}})
			}
			if err := w.Shuffling(s); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range want[whole:] {
			for i := range s.Votes {
				if err := w.Vote(&s.Votes[i]); err != nil {
					t.Fatal(err)
				}
			}
			for i := range s.Blocks {
				if err := w.Block(&s.Blocks[i]); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.EndSlot(s.Slot, s.Mood, s.Heads); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader("continued", strings.NewReader(unpack(t, out.Bytes())))
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", cut, err)
		}
		slots, err := readAll(r)
		if err != nil || len(slots) != len(want) || r.Skipped > 0 || r.Cut != "" {
			t.Fatalf("cut after %d bytes: %d slots, %d skipped, %v", cut, len(slots), r.Skipped, err)
		}
		for i, s := range slots {
			if !reflect.DeepEqual(s.Votes, want[i].Votes) || !reflect.DeepEqual(s.Blocks, want[i].Blocks) || s.Slot*6 != blockprint.Slot(want[i].Blocks[1].Asked/time.Second) {
				t.Errorf("cut after %d bytes: slot %d came back otherwise", cut, s.Slot)
			}
		}
	}
}
