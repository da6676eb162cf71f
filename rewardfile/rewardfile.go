// Package rewardfile reads and writes block rewards in the JSON of Lighthouse's /lighthouse/analysis/block_rewards,
// with our additions, so that years of old files stay readable. Files may be compressed and of any size. To read one block
// after another:
//
//	for reward, err := range rewardfile.ReadFile(path) {
//
// The reader is ours because each block has a map of some 4,000 validators, which makes up nearly all of a file: it reads
// these maps 20 times as fast as encoding/json. jx, which reads our other JSON, can neither stop before such a map nor
// continue after it. The reader is strict: it accepts nothing but JSON, no validator twice in a map, and no number that a
// uint64 cannot hold.
package rewardfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"

	"blockprint"
	"blockprint/file"
)

// Append appends a reward's JSON to dst.
func Append(dst []byte, r *blockprint.BlockReward) []byte { return rewardJSON.write(dst, r) }

// AppendList appends the JSON of a list of rewards to dst.
func AppendList(dst []byte, rewards []*blockprint.BlockReward) []byte {
	dst = append(dst, '[')
	for i, r := range rewards {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = Append(dst, r)
	}
	return append(dst, ']')
}

// Decode reads the JSON of one reward.
func Decode(data []byte) (*blockprint.BlockReward, error) {
	s := scanner{data: data}
	r := new(blockprint.BlockReward)
	if err := s.reward(r); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "block reward: %w", err)
	}
	if s.peek() != 0 || s.pos < len(s.data) {
		return nil, blockprint.Errorf(blockprint.Invalid, "block reward: text after its end")
	}
	return r, nil
}

// ReadAll returns all rewards in an input, in memory.
func ReadAll(in io.Reader) (list []*blockprint.BlockReward, err error) {
	for r, err := range Read(in) {
		if err != nil {
			return nil, err
		}
		list = append(list, r.Clone())
	}
	return list, nil
}

// Name returns the name of a file that holds the rewards of exactly these slots.
func Name(slots blockprint.Interval) string {
	return fmt.Sprintf("slot_%d_to_%d.json", slots.Start, slots.End)
}

// Span reads a file's slots from its name. ok is false unless Name made the name; ".gz" may follow it.
func Span(path string) (slots blockprint.Interval, ok bool) {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	n, err := fmt.Sscanf(name, "slot_%d_to_%d.json", &slots.Start, &slots.End)
	return slots, err == nil && n == 2 && slots.End >= slots.Start && name == Name(slots)
}

// List returns the reward files at paths: files and "-" as they are, and for directories all .json and .json.gz files
// below them, sorted by name.
func List(paths []string) ([]string, error) {
	var out []string
	for _, path := range paths {
		if path == "-" {
			out = append(out, path)
			continue
		}
		before := len(out)
		err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && p == path {
				return blockprint.Errorf(blockprint.NotFound, "%s does not exist", path)
			}
			if err != nil {
				return err
			}
			named := strings.HasSuffix(p, ".json") || strings.HasSuffix(p, ".json.gz")
			if !d.IsDir() && (named && !strings.HasPrefix(d.Name(), ".") || p == path) {
				out = append(out, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(out) == before {
			return nil, blockprint.Errorf(blockprint.NotFound, "%s contains no .json or .json.gz files", path)
		}
	}
	return out, nil
}

// ReadFile returns the rewards in a file, or in standard input for "-", as Reader.ReadFile does.
func ReadFile(path string) iter.Seq2[*blockprint.BlockReward, error] {
	return new(Reader).ReadFile(path)
}

// ReadFile returns the rewards in a file, or in standard input for "-", as Read does. Errors name the file.
func (r *Reader) ReadFile(path string) iter.Seq2[*blockprint.BlockReward, error] {
	return func(yield func(*blockprint.BlockReward, error) bool) {
		in, err := file.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = in.Close() }() // read only
		r.Info = in.Info
		for reward, err := range r.Read(in) {
			if err != nil {
				err = blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", path, err)
			}
			if !yield(reward, err) {
				return
			}
		}
	}
}
