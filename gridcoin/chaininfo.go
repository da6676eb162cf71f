package gridcoin

import (
	"encoding/json"
	"strconv"

	"blockprint/greylist"
)

// fresh is the age in seconds up to which the newest superblock shows that the chain has caught up. There is one a day.
const fresh = 2 * 86_400

// newest returns the newest superblock, and its age in seconds; a superblock's clock may be ahead of ours.
func (s *Server) newest(b *greylist.Book) (last *greylist.Boundary, age int64) {
	if last = b.Back(0); last == nil {
		return &greylist.Boundary{}, 0
	}
	return last, max(s.Now().Unix()-last.Time, 0)
}

// chainInfo answers getblockchaininfo and getinfo with those of their fields that a greylist knows. The only blocks that it knows
// are superblocks.
func (s *Server) chainInfo(b *greylist.Book, _ []json.RawMessage) (any, error) {
	last, age := s.newest(b)
	return keyed{"blocks", last.Height, "in_sync", last.Time > 0 && age < fresh, "errors", ""}, nil
}

func (s *Server) superblockAge(b *greylist.Book, _ []json.RawMessage) (any, error) {
	last, age := s.newest(b)
	return keyed{"Superblock Age", age, "Superblock Timestamp", shownDate(last.Time), "Superblock Block Number", last.Height, "Pending Superblock Height", 0}, nil
}

// superblocks answers with the newest superblocks, newest first. With show_contract it adds what each records: the statuses that
// today's rules find there.
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
		line := keyed{"height", strconv.FormatUint(block.Height, 10), "block", block.Hash, "date", shownDate(block.Time), "wallet_version", "", "total_projects", len(block.Totals)}
		if full {
			line = append(line, "contract_contents", recorded[back])
		}
		list = append(list, line)
	}
	return list, nil
}
