// Package rewardfile reads and writes block rewards in the JSON of Lighthouse's /lighthouse/analysis/block_rewards,
// with our additions, so that years of old files stay readable. Files may be compressed and of any size:
//
//	for reward, err := range rewardfile.ReadFile(path) {
//
// reads one block after the other.
//
// The reader is ours because maps of 4,000 validators a block are nearly all of such a file: it reads them 20 times as
// fast as encoding/json. jx, which reads our other JSON, can neither be stopped in front of such a map nor go on behind
// it. The reader is strict: it accepts nothing that is not JSON, no validator twice in a map, and no number that a
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

// ReadAll returns the rewards of in, all of them in memory.
func ReadAll(in io.Reader) (list []*blockprint.BlockReward, err error) {
	for r, err := range Read(in) {
		if err != nil {
			return nil, err
		}
		list = append(list, r.Clone())
	}
	return list, nil
}

// Name returns the name of the file that holds the rewards of some slots, and of those only.
func Name(slots blockprint.Interval) string {
	return fmt.Sprintf("slot_%d_to_%d.json", slots.Start, slots.End)
}

// Span reads the slots of a file from its name; ok is false if it is not one of Name's, compressed or not.
func Span(path string) (slots blockprint.Interval, ok bool) {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	n, err := fmt.Sscanf(name, "slot_%d_to_%d.json", &slots.Start, &slots.End)
	return slots, err == nil && n == 2 && slots.End >= slots.Start && name == Name(slots)
}

// List returns the reward files under the given paths: files and "-" as they are, directories with all
// .json and .json.gz files below them, in order of name.
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
			return nil, blockprint.Errorf(blockprint.NotFound, "%s holds no .json or .json.gz files", path)
		}
	}
	return out, nil
}

// ReadFile returns the rewards of a file, or of standard input for "-", as Reader.ReadFile does.
func ReadFile(path string) iter.Seq2[*blockprint.BlockReward, error] {
	return new(Reader).ReadFile(path)
}

// ReadFile returns the rewards of a file, or of standard input for "-", as Read does. Errors name the file.
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
