package beacon

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/go-faster/jx"

	"blockprint"
)

// Validators is what the program needs of a state's registry, one entry per validator index.
type Validators struct {
	EffectiveBalance []blockprint.Gwei
	Activation, Exit []blockprint.Epoch
	Withdrawable     []blockprint.Epoch
	Slashed          []bool
}

// Len returns the number of validators.
func (v *Validators) Len() int { return len(v.EffectiveBalance) }

// IsActive tells whether a validator has duties in an epoch.
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

// Validators returns a state's registry. The answer (400 MB on mainnet) is read as it comes, never held.
func (c *Client) Validators(ctx context.Context, state ID) (*Validators, error) {
	var v *Validators
	err := c.get(ctx, "/eth/v1/beacon/states/"+url.PathEscape(string(state))+"/validators", acceptJSON, limitState, func(a answer) error {
		v = &Validators{}
		return v.decode(jx.Decode(a.Body, 1<<16))
	})
	return v, err
}

func (v *Validators) decode(d *jx.Decoder) error {
	found := false
	err := d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		if string(key) != "data" {
			return d.Skip()
		}
		found = true
		return d.Arr(v.decodeOne)
	})
	if err == nil && !found {
		return fmt.Errorf(`not a list of validators: "data" is missing`)
	}
	return err
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
			index, err = quoted(d)
			return err
		case "validator":
			return d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
				switch string(key) {
				case "effective_balance":
					haveBalance = true
					balance, err = quoted(d)
				case "activation_epoch":
					activation, err = quoted(d)
				case "exit_epoch":
					exit, err = quoted(d)
				case "withdrawable_epoch":
					withdrawable, err = quoted(d)
				case "slashed":
					slashed, err = d.Bool()
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
		return fmt.Errorf("validator %d: the list is not complete and in order", i)
	}
	v.Append(balance, blockprint.Epoch(activation), blockprint.Epoch(exit), blockprint.Epoch(withdrawable), slashed)
	return nil
}

func quoted(d *jx.Decoder) (uint64, error) {
	s, err := d.StrBytes()
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(s), 10, 64)
}
