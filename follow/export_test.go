package follow

import "blockprint"

// Tracks reports, after Run, whether a follower still holds a block.
func (f *Follower) Tracks(root blockprint.Root) bool { return f.tracker.Has(root) }

// ChainLength returns, after Run, how many blocks of the chain a follower holds.
func (f *Follower) ChainLength() int { return len(f.chain) }
