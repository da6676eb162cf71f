package blockprint

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Fork is a version of the consensus rules.
type Fork int

// The forks, in order.
const (
	Phase0 Fork = iota
	Altair
	Bellatrix
	Capella
	Deneb
	Electra
	Fulu
	NumForks
)

var forkNames = [NumForks]string{"phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu"}

// String returns the fork's name as the Beacon API writes it.
func (f Fork) String() string {
	if f < 0 || f >= NumForks {
		return fmt.Sprintf("fork %d", int(f))
	}
	return forkNames[f]
}

// ParseFork reads a fork's name as the Beacon API writes it; some clients write it in capitals.
func ParseFork(s string) (Fork, error) {
	for f, name := range forkNames {
		if strings.EqualFold(s, name) {
			return Fork(f), nil
		}
	}
	return 0, Errorf(Invalid, "unknown fork %q: this version knows %s to %s", abbreviate(s), forkNames[0], forkNames[NumForks-1])
}

// ForkRange is a run of forks, both ends included. NumForks as the last one means that the range is open: forks
// that come later belong to it. Its JSON is {"from": "electra", "to": "fulu"}; a missing end is open.
type ForkRange struct{ First, Last Fork }

// The ranges that differ in what a block looks like: since Electra an attestation carries several committees, and clients
// pack otherwise.
var (
	AnyFork       = ForkRange{Phase0, NumForks}
	BeforeElectra = ForkRange{Phase0, Deneb}
	SinceElectra  = ForkRange{Electra, NumForks}
)

// ParseForkRange reads forks as A-B, A-, -B, or the name of one fork.
func ParseForkRange(s string) (ForkRange, error) {
	from, to, several := strings.Cut(s, "-")
	r := AnyFork
	var errFrom, errTo error
	if from != "" {
		r.First, errFrom = ParseFork(from)
	}
	switch {
	case !several:
		r.Last = r.First
	case to != "":
		r.Last, errTo = ParseFork(to)
	}
	if errFrom != nil || errTo != nil || s == "" || s == "-" || r.Last < r.First {
		return r, Errorf(Invalid, "expected forks as A-B, A- or -B, such as electra-")
	}
	return r, nil
}

// Has tells whether a fork is in the range.
func (r ForkRange) Has(f Fork) bool { return r.First <= f && f <= r.Last }

// Contains tells whether all forks of o are in the range.
func (r ForkRange) Contains(o ForkRange) bool { return r.First <= o.First && o.Last <= r.Last }

// Overlaps tells whether a fork is in both ranges.
func (r ForkRange) Overlaps(o ForkRange) bool { return r.First <= o.Last && o.First <= r.Last }

// String says the range in words that follow "blocks": "of electra or later", "before electra".
func (r ForkRange) String() string {
	switch {
	case r == AnyFork:
		return "of any fork"
	case r.First == r.Last:
		return "of " + r.First.String()
	case r.Last == NumForks:
		return "of " + r.First.String() + " or later"
	case r.First == Phase0:
		return "before " + (r.Last + 1).String()
	}
	return "of " + r.First.String() + " to " + r.Last.String()
}

type forkRangeJSON struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// MarshalJSON writes the ends that are not open.
func (r ForkRange) MarshalJSON() ([]byte, error) {
	var out forkRangeJSON
	if r.First > Phase0 {
		out.From = r.First.String()
	}
	if r.Last < NumForks {
		out.To = r.Last.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads a range. A last fork that this version does not know is after all that it knows.
func (r *ForkRange) UnmarshalJSON(b []byte) (err error) {
	var in forkRangeJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*r = AnyFork
	if in.From != "" {
		if r.First, err = ParseFork(in.From); err != nil {
			return err
		}
	}
	if to, err := ParseFork(in.To); err == nil {
		r.Last = to
	}
	if r.Last < r.First {
		return Errorf(Invalid, "forks from %s to %s", in.From, in.To)
	}
	return nil
}

// ForkSchedule says when the forks of a network begin: FarFuture if one is not scheduled.
type ForkSchedule struct {
	SlotsPerEpoch uint64
	Epochs        [NumForks]Epoch
}

// ForkAt returns the fork whose rules hold in a slot.
func (s *ForkSchedule) ForkAt(slot Slot) Fork {
	return forkAt(&s.Epochs, Epoch(uint64(slot)/max(s.SlotsPerEpoch, 1)))
}

func forkAt(epochs *[NumForks]Epoch, epoch Epoch) Fork {
	for f := NumForks - 1; f > Phase0; f-- {
		if epochs[f] <= epoch {
			return f
		}
	}
	return Phase0
}

// Limits of attestations that tell a block's time (consensus-specs, the same in all presets).
const (
	MaxAttestationsElectra    = 8 // of a block since Electra
	maxValidatorsPerCommittee = 2048
)

// Shape returns the forks that a block's attestations allow. Since Electra an attestation carries several committees,
// its data has no committee (index 0), and a block holds 8; before, each is of one committee, and a block holds 128.
// Where there is one committee in a slot, or where a file carries reward maps alone, a block may not tell.
func (r *BlockReward) Shape() ForkRange {
	a := &r.Attestations
	if len(a.PerAttestation) > MaxAttestationsElectra {
		return BeforeElectra
	}
	for _, list := range a.Committees {
		if len(list) > 1 {
			return SinceElectra
		}
	}
	for i := range a.Data {
		if a.Data[i].Index != 0 {
			return BeforeElectra
		}
	}
	for _, list := range a.Committees {
		if len(list) == 1 && list[0].Index != 0 && len(a.Data) > 0 {
			return SinceElectra
		}
	}
	// The voters of a slot that are new are in one map only. More than a committee can have are of several, none of
	// which is named.
	for i := range a.Data {
		voters := 0
		for j := range a.Data {
			if a.Data[j].Slot == a.Data[i].Slot {
				voters += len(a.PerAttestation[j])
			}
		}
		if voters > maxValidatorsPerCommittee {
			return SinceElectra
		}
	}
	return AnyFork
}
