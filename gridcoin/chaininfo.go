package gridcoin

import (
	"encoding/json"
	"strconv"

	"blockprint/greylist"
)

// fresh is for how long, in seconds, the newest superblock counts as that of a chain that has caught up: there is one a day.
const fresh = 2 * 86_400

// newest returns the newest superblock, and its age in seconds; a superblock's clock may be ahead of ours.
func (s *Server) newest(b *greylist.Book) (last *greylist.Boundary, age int64) {
	if last = b.Back(0); last == nil {
		return &greylist.Boundary{}, 0
	}
	return last, max(s.Now().Unix()-last.Time, 0)
}

// chainInfo answers getblockchaininfo and getinfo with what of theirs a greylist knows: all blocks that it knows are
// superblocks.
func (s *Server) chainInfo(b *greylist.Book, _ []json.RawMessage) (any, error) {
	last, age := s.newest(b)
	var out keyed
	out.add("blocks", last.Height)
	out.add("in_sync", last.Time > 0 && age < fresh)
	out.add("errors", "")
	return out, nil
}

func (s *Server) superblockAge(b *greylist.Book, _ []json.RawMessage) (any, error) {
	last, age := s.newest(b)
	var out keyed
	out.add("Superblock Age", age)
	out.add("Superblock Timestamp", shownDate(last.Time))
	out.add("Superblock Block Number", last.Height)
	out.add("Pending Superblock Height", 0)
	return out, nil
}

// superblocks answers with the newest superblocks, newest first, and with what they record if that is wanted: what is found
// at each of them, by the rules that are asked for now.
func (s *Server) superblocks(b *greylist.Book, params []json.RawMessage) (any, error) {
	lookback := 14
	if words := wordsOf(params); len(words) > 0 {
		n, err := strconv.Atoi(words[0])
		if err != nil {
			return nil, badParameter("lookback: expected a number of superblocks, not %.40q", words[0])
		}
		lookback = n
	}
	full, err := flag(params, 1, "show_contract")
	if err != nil {
		return nil, err
	}
	n := min(max(lookback, 0), b.Boundaries())
	recorded := make([]contents, n)
	if full {
		b.AtBoundaries(n, func(back int, e *greylist.Engine) { recorded[back] = contentsOf(e, b.Back(back)) })
	}
	list := []keyed{}
	for back := range n {
		block := b.Back(back)
		var line keyed
		line.add("height", strconv.FormatUint(block.Height, 10))
		line.add("block", block.Hash)
		line.add("date", shownDate(block.Time))
		line.add("wallet_version", "")
		line.add("total_projects", len(block.Totals))
		if full {
			line.add("contract_contents", recorded[back])
		}
		list = append(list, line)
	}
	return list, nil
}
