package beacon

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-faster/jx"

	"blockprint"
	"blockprint/beacon/ssz"
)

// Validators holds the parts of a state's registry that the program uses, one entry per validator index.
type Validators struct {
	EffectiveBalance []blockprint.Gwei
	Activation, Exit []blockprint.Epoch
	Withdrawable     []blockprint.Epoch
	Slashed          []bool
}

// Len returns the number of validators.
func (v *Validators) Len() int { return len(v.EffectiveBalance) }

// IsActive reports whether a validator is active in an epoch.
func (v *Validators) IsActive(i int, epoch blockprint.Epoch) bool {
	return v.Activation[i] <= epoch && epoch < v.Exit[i]
}

// Active returns the indices of the active validators of an epoch, ascending.
func (v *Validators) Active(epoch blockprint.Epoch) []uint32 {
	var out []uint32
	for i := range v.EffectiveBalance {
		if v.IsActive(i, epoch) {
			out = append(out, uint32(i))
		}
	}
	return out
}

// Append adds a validator.
func (v *Validators) Append(balance blockprint.Gwei, activation, exit, withdrawable blockprint.Epoch, slashed bool) {
	v.EffectiveBalance = append(v.EffectiveBalance, balance)
	v.Activation = append(v.Activation, activation)
	v.Exit = append(v.Exit, exit)
	v.Withdrawable = append(v.Withdrawable, withdrawable)
	v.Slashed = append(v.Slashed, slashed)
}

// Limits of a registry. Mainnet's has 2.2 million entries of some 500 bytes each; 1e15 gwei is a million ETH.
const (
	maxValidators = 1 << 23 // in the first registry; later ones may be twice as long as the longest so far
	fewValidators = 1 << 17 // are always allowed, because young test networks grow fast
	maxBalance    = 1e15    // gwei
	maxEntry      = 1 << 17 // bytes, including what is read ahead
)

// Validators returns a state's registry. The answer, which has some GB on mainnet, is read as it arrives and never held
// in memory.
func (c *Client) Validators(ctx context.Context, state ID) (*Validators, error) {
	var v *Validators
	q := stateQuery{"/eth/v1/beacon/states/", "/validators", acceptJSON, large}
	err := c.each(ctx, func(ctx context.Context, n *node) error {
		err := c.askState(ctx, n, state, q, func(a answer) error {
			v = &Validators{}
			return v.decode(a.Body, c.mostValidators())
		})
		if state.word() {
			return c.lacking(ctx, n, state, err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.validators = max(c.validators, v.Len())
	c.mu.Unlock()
	return v, nil
}

// mostValidators returns how many validators a registry may have.
func (c *Client) mostValidators() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.validators == 0 {
		return maxValidators
	}
	return max(2*c.validators, fewValidators)
}

func (v *Validators) decode(body io.Reader, most int) error {
	r := &paced{r: body}
	err := eachOfData(jx.Decode(r, 1<<16), "validators", func(d *jx.Decoder) error {
		r.read = 0
		if v.Len() >= most {
			return blockprint.Errorf(blockprint.TooLarge, "the list has more than %d validators", most)
		}
		return v.decodeOne(d)
	})
	if err == nil && v.Len() == 0 {
		return errors.New("the list of validators is empty")
	}
	return err
}

// paced limits the length of an entry: the decoder holds the text of the entry that it is reading.
type paced struct {
	r    io.Reader
	read int // bytes since the last entry began
}

func (p *paced) Read(b []byte) (int, error) {
	if p.read > maxEntry {
		return 0, blockprint.Errorf(blockprint.TooLarge, "an entry of the list is longer than %d bytes", maxEntry)
	}
	n, err := p.r.Read(b)
	p.read += n
	return n, err
}

func (v *Validators) decodeOne(d *jx.Decoder) error {
	i := v.Len()
	var index, balance, activation, exit, withdrawable uint64
	var slashed bool
	haveIndex, haveBalance := false, false
	err := d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "index":
			haveIndex = true
			index, err = ssz.ReadUint64(d)
			return err
		case "validator":
			return d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
				switch string(key) {
				case "effective_balance":
					haveBalance = true
					balance, err = ssz.ReadUint64(d)
				case "activation_epoch":
					activation, err = ssz.ReadUint64(d)
				case "exit_epoch":
					exit, err = ssz.ReadUint64(d)
				case "withdrawable_epoch":
					withdrawable, err = ssz.ReadUint64(d)
				case "slashed":
					slashed, err = readBool(d)
				default:
					err = d.Skip()
				}
				return err
			})
		}
		return d.Skip()
	})
	if err != nil {
		return fmt.Errorf("validator %d: %w", i, err)
	}
	if !haveIndex || !haveBalance || index != uint64(i) {
		return fmt.Errorf("validator %d: the list is incomplete or out of order", i)
	}
	if balance > maxBalance {
		return fmt.Errorf("validator %d: an effective balance of %d gwei is impossible", i, balance)
	}
	v.Append(balance, blockprint.Epoch(activation), blockprint.Epoch(exit), blockprint.Epoch(withdrawable), slashed)
	return nil
}

func readBool(d *jx.Decoder) (bool, error) {
	switch d.Next() {
	case jx.Null:
		return false, d.Null()
	case jx.String:
		s, err := d.StrBytes()
		return string(s) == "true", err
	}
	return d.Bool()
}
