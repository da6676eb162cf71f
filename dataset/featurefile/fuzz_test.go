package featurefile

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"blockprint"
)

// FuzzDecode: no file's content makes reading fail other than with an error.
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
	f.Fuzz(func(_ *testing.T, b []byte) {
		file, err := decode(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, c := range file.footer.Chunks {
			_ = file.readChunk(c, NewRows(1), []int{len(file.Header.Columns) - 1})
		}
	})
}
