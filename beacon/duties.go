package beacon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/go-faster/jx"

	"blockprint"
	"blockprint/beacon/ssz"
)

// Committee is a committee of a slot, with its members in order.
type Committee struct {
	Slot       blockprint.Slot
	Index      uint64
	Validators []uint64
}

// Committees returns the committees of an epoch according to a state.
func (c *Client) Committees(ctx context.Context, state ID, epoch blockprint.Epoch) ([]Committee, error) {
	network, err := c.Network(ctx)
	if err != nil {
		return nil, err
	}
	most := limits{committees: int(network.MaxCommitteesPerSlot * network.SlotsPerEpoch), members: c.mostValidators()}
	var out []Committee
	q := stateQuery{"/eth/v1/beacon/states/", fmt.Sprintf("/committees?epoch=%d", epoch), acceptJSON, listing}
	err = c.state(ctx, state, q, func(a answer) error {
		out, err = decodeCommittees(jx.Decode(a.Body, 1<<16), most)
		return err
	})
	return out, err
}

// limits bounds the number of an epoch's committees and of all their members.
type limits struct{ committees, members int }

func decodeCommittees(d *jx.Decoder, most limits) ([]Committee, error) {
	out, members := []Committee(nil), 0
	err := eachOfData(d, "committees", func(d *jx.Decoder) error {
		if len(out) >= most.committees {
			return blockprint.Errorf(blockprint.TooLarge, "the epoch has more than %d committees", most.committees)
		}
		var m Committee
		err := d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
			switch string(key) {
			case "slot":
				var slot uint64
				slot, err = ssz.ReadUint64(d)
				m.Slot = blockprint.Slot(slot)
				return err
			case "index":
				m.Index, err = ssz.ReadUint64(d)
				return err
			case "validators":
				if d.Next() == jx.Null {
					return d.Null()
				}
				return d.Arr(func(d *jx.Decoder) error {
					if members++; members > most.members {
						return blockprint.Errorf(blockprint.TooLarge, "the committees have more than %d members", most.members)
					}
					v, err := ssz.ReadUint64(d)
					m.Validators = append(m.Validators, v)
					return err
				})
			}
			return d.Skip()
		})
		out = append(out, m)
		return err
	})
	return out, err
}

// eachOfData calls one for each element of an answer's "data", which errors call a list of what.
func eachOfData(d *jx.Decoder, what string, one func(*jx.Decoder) error) error {
	found := false
	err := d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		if string(key) != "data" || d.Next() == jx.Null {
			return d.Skip()
		}
		found = true
		return d.Arr(one)
	})
	if err == nil && !found {
		err = fmt.Errorf(`not a list of %s: "data" is missing`, what)
	}
	return err
}

// Randao returns the RANDAO mix of an epoch. If the node lacks the endpoint for it, the mix is read from the debug state.
func (c *Client) Randao(ctx context.Context, state ID, epoch blockprint.Epoch) (blockprint.Root, error) {
	var reply struct {
		Randao blockprint.Root `json:"randao"`
	}
	q := stateQuery{"/eth/v1/beacon/states/", fmt.Sprintf("/randao?epoch=%d", epoch), acceptJSON, listing}
	err := c.state(ctx, state, q, func(a answer) error {
		err := decodeData(io.LimitReader(a.Body, small.bytes), &reply)
		if err == nil && reply.Randao.IsZero() {
			err = errors.New("the mix is missing")
		}
		return err
	})
	if err == nil {
		return reply.Randao, nil
	}
	if ctx.Err() != nil || blockprint.CodeOf(err) == blockprint.Unavailable || blockprint.CodeOf(err) == blockprint.Conflict {
		return blockprint.Root{}, err
	}
	mix, stateErr := c.randaoFromState(ctx, state, epoch)
	if stateErr != nil {
		return mix, blockprint.Errorf(blockprint.CodeOf(stateErr), "the node provides neither the RANDAO mix (%w) nor the state that holds it (%s)", err, stateErr.Error())
	}
	return mix, nil
}

// randaoFromState reads one mix from a whole state without holding the rest in memory. In SSZ the fields before the
// mixes have a fixed size in every fork.
func (c *Client) randaoFromState(ctx context.Context, state ID, epoch blockprint.Epoch) (mix blockprint.Root, err error) {
	network, err := c.Network(ctx)
	if err != nil {
		return mix, err
	}
	historical, err := c.slotsPerHistoricalRoot(ctx)
	if err != nil {
		return mix, err
	}
	const before = 8 + 32 + 8 + 16 + 112 // genesis time and root, slot, fork, latest block header
	const after = 4 + 72 + 4 + 8 + 4 + 4 // historical roots, eth1 data, votes, deposit index, validators, balances
	place := uint64(epoch) % network.EpochsPerHistoricalVector
	offset := before + 2*32*int64(historical) + after + 32*int64(place)
	read := func(a answer) error {
		var begin [40]byte // genesis time and validators root
		if _, err := io.ReadFull(a.Body, begin[:]); err != nil {
			return err
		}
		if blockprint.Root(begin[8:]) == network.GenesisValidatorsRoot {
			if _, err := io.CopyN(io.Discard, a.Body, offset-int64(len(begin))); err != nil {
				return err
			}
			_, err := io.ReadFull(a.Body, mix[:])
			return err
		}
		mix, err = mixOfJSON(io.MultiReader(bytes.NewReader(begin[:]), a.Body), place)
		return err
	}
	for _, accept := range []string{acceptSSZ, acceptJSON} {
		err = c.state(ctx, state, stateQuery{"/eth/v2/debug/beacon/states/", "", accept, large}, read)
		if err == nil || ctx.Err() != nil || blockprint.CodeOf(err) == blockprint.NotFound {
			break
		}
	}
	return mix, err
}

// mixOfJSON reads a mix from a state's JSON.
func mixOfJSON(body io.Reader, place uint64) (mix blockprint.Root, err error) {
	found, i := false, uint64(0)
	mixes := func(d *jx.Decoder) error {
		return d.Arr(func(d *jx.Decoder) error {
			if i++; i-1 != place {
				return d.Skip()
			}
			s, err := d.Str()
			if err == nil {
				mix, err = blockprint.ParseRoot(s)
				found = err == nil
			}
			return err
		})
	}
	err = jx.Decode(body, 1<<16).ObjBytes(func(d *jx.Decoder, key []byte) error {
		if string(key) != "data" {
			return d.Skip()
		}
		return d.ObjBytes(func(d *jx.Decoder, key []byte) error {
			if string(key) != "randao_mixes" {
				return d.Skip()
			}
			return mixes(d)
		})
	})
	if err == nil && !found {
		err = errors.New("not a state: the RANDAO mix is missing")
	}
	return mix, err
}

func (c *Client) slotsPerHistoricalRoot(ctx context.Context) (uint64, error) {
	var raw map[string]json.RawMessage
	if err := c.getJSON(ctx, "/eth/v1/config/spec", &raw); err != nil {
		return 0, err
	}
	var n blockprint.Quoted
	if err := json.Unmarshal(raw["SLOTS_PER_HISTORICAL_ROOT"], &n); err != nil || n == 0 || n > 1<<20 {
		return 0, blockprint.Errorf(blockprint.Invalid, "SLOTS_PER_HISTORICAL_ROOT is missing from the node's spec or makes no sense")
	}
	return uint64(n), nil
}

// RawState returns a state in SSZ, for comparisons with the node.
func (c *Client) RawState(ctx context.Context, state ID) (b []byte, err error) {
	err = c.each(ctx, func(ctx context.Context, n *node) error {
		return c.once(ctx, n, query{"/eth/v2/debug/beacon/states/" + url.PathEscape(string(state)), acceptSSZ, large}, func(a answer) error {
			b, err = io.ReadAll(a.Body)
			return err
		})
	})
	return b, err
}
