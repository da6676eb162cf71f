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

// ForkRange is a run of forks, both ends included. If Last is NumForks, the range is open: later forks belong to it.
// Its JSON is {"from": "electra", "to": "fulu"}; an end that is left out is open.
type ForkRange struct{ First, Last Fork }

// The ranges in which blocks look alike: since Electra an attestation carries several committees, and clients pack
// differently.
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

// Has reports whether a fork is in the range.
func (r ForkRange) Has(f Fork) bool { return r.First <= f && f <= r.Last }

// Contains reports whether all forks of o are in the range.
func (r ForkRange) Contains(o ForkRange) bool { return r.First <= o.First && o.Last <= r.Last }

// Overlaps reports whether the ranges share a fork.
func (r ForkRange) Overlaps(o ForkRange) bool { return r.First <= o.Last && o.First <= r.Last }

// String describes the range in words that can follow "blocks": "of electra or later", "before electra".
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

// UnmarshalJSON reads a range. If this version does not know the last fork, the range is open.
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
		return Errorf(Invalid, "the forks from %s to %s are in the wrong order", in.From, in.To)
	}
	return nil
}

// ForkSchedule says when a network's forks begin. A fork that is not scheduled begins in FarFuture.
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

// Limits of attestations by which Shape recognizes forks (consensus-specs; the same in all presets).
const (
	MaxAttestationsElectra    = 8 // in a block since Electra
	maxValidatorsPerCommittee = 2048
)

// Shape returns the forks that a block's attestations allow. Since Electra an attestation carries several committees,
// its data names none (index 0), and a block holds at most 8. Earlier attestations carry one committee each, and a block
// holds up to 128. If slots have a single committee, or if a file has reward maps only, any fork may be possible.
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
	// Each new voter is in one map only. If a slot has more of them than a committee has members, they come from several
	// committees, though the data names none.
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
