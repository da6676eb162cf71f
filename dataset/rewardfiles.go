package dataset

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"slices"

	"blockprint"
	"blockprint/file"
	"blockprint/rewardfile"
)

// RewardFault is what is wrong with a reward file.
type RewardFault struct {
	Path, Text string
	Moved      string // where the file is now, if it was put aside
}

// aside is added to the name of a reward file that is put aside: then nothing reads it, and Load fetches it again.
const aside = ".incomplete"

// CheckRewards checks the reward files of a folder, slot_X_to_Y.json or .json.gz, as far as is possible without a node.
// It finds files without blocks (earlier versions wrote them for slots that were not over, or whose blocks the node did
// not have), with a block missing between others, with blocks of other slots, and those that cannot be read. With repair
// it puts them aside under another name.
func CheckRewards(ctx context.Context, dir string, repair bool) ([]RewardFault, error) {
	var paths []string
	for _, pattern := range []string{"slot_*_to_*.json", "slot_*_to_*.json.gz"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, blockprint.Errorf(blockprint.Invalid, "folder %s: %w", dir, err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		return nil, blockprint.Errorf(blockprint.NotFound, "folder %s has no reward files such as slot_1_to_2048.json", dir)
	}
	slices.Sort(paths)
	var out []RewardFault
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		slots, ours := rewardfile.Span(path)
		if !ours {
			continue
		}
		_, _, text, err := readRewardFile(path, slots)
		if err != nil {
			return out, err
		}
		if text == "" {
			continue
		}
		f := RewardFault{Path: path, Text: text}
		if repair {
			if err := os.Rename(path, path+aside); err != nil {
				return append(out, f), err
			}
			f.Moved = path + aside
		}
		out = append(out, f)
	}
	return out, nil
}

// readRewardFile reads the file of some slots. proven says that it was written as final and whole; fault is what is
// wrong with it by itself.
func readRewardFile(path string, slots blockprint.Interval) (c chain, proven bool, fault string, err error) {
	c = chain{slots: slots}
	f, err := file.Open(path)
	if err != nil {
		return c, false, "", err
	}
	defer func() { _ = f.Close() }() // read only
	in := bufio.NewReaderSize(f, 1<<20)
	if begin, _ := in.Peek(len(provenMark)); string(begin) == provenMark {
		return c, true, "", nil
	}
	for r, err := range rewardfile.Read(in) {
		if err == nil {
			err = c.add(r)
		}
		if err != nil {
			return c, false, err.Error(), nil
		}
	}
	if c.last == nil {
		return c, false, "it has no blocks", nil
	}
	return c, false, "", nil
}
