package eel

import (
	"bytes"
	"encoding/json"
	"math/big"
	"testing"
)

// TestFees: base fee and excess blob gas follow from the parent as the EIPs say, worked out by hand.
func TestFees(t *testing.T) {
	fee := func(n int64) *large { l := large(big.NewInt(n).Bytes()); return &l }
	for _, c := range []struct{ limit, used, before, want int64 }{
		{30_000_000, 15_000_000, 1_000_000_000, 1_000_000_000},
		{30_000_000, 30_000_000, 1_000_000_000, 1_125_000_000},
		{30_000_000, 0, 1_000_000_000, 875_000_000},
		{30_000_000, 18_000_000, 100, 102}, // a fifth of an eighth of 100, rounded down
		{30_000_000, 15_000_001, 7, 8},     // at least one more
		{30_000_000, 14_999_999, 7, 7},
	} {
		limit, used := quantity(c.limit), quantity(c.used)
		h := payload{GasLimit: &limit, GasUsed: &used, BaseFee: fee(c.before)}
		if got := baseFee(&h); got.Int64() != c.want {
			t.Errorf("base fee after %+v: %d", c, got)
		}
	}
	prague := &forkConfig{Blobs: &blobSchedule{6, 9, 5_007_716}, Fork: Prague}
	osaka := &forkConfig{Blobs: &blobSchedule{6, 9, 5_007_716}, Fork: Osaka}
	const blob = 1 << 17
	for _, c := range []struct {
		fork               *forkConfig
		excess, used, base int64
		want               uint64
	}{
		{prague, 0, 5 * blob, 1, 0},
		{prague, 10 * blob, 2 * blob, 1e9, 6 * blob},
		{osaka, 0, 5 * blob, 1e9, 0},
		// A blob costs 2^17 at the least price, its reserve price is 2^13 x 16 at a base fee of 16: not above.
		{osaka, 10 * blob, 2 * blob, 16, 6 * blob},
		{osaka, 10 * blob, 3 * blob, 1e9, 11 * blob}, // a third of what was used is added
	} {
		excess, used := quantity(c.excess), quantity(c.used)
		h := payload{ExcessBlobGas: &excess, BlobGasUsed: &used, BaseFee: fee(c.base)}
		if got := excessBlobGas(&h, c.fork); got != c.want {
			t.Errorf("excess blob gas after %+v: %d", c, got)
		}
	}
	for excess, want := range map[uint64]int64{0: 1, 5_007_716: 2, 10 * 5_007_716: 22026} { // powers of e, rounded down
		if got := blobGasPrice(excess, 5_007_716); got.Int64() != want {
			t.Errorf("blob gas price at %d: %d, want %d", excess, got, want)
		}
	}
}

// TestForkVersions: a fork has the version of engine_getPayload that came with it.
func TestForkVersions(t *testing.T) {
	for want, list := range map[int]map[string]string{3: {"ECREC": "0x1"}, 4: {"BLS12_G1ADD": "0xb"}, 5: {"BLS12_G1ADD": "0xb", "P256VERIFY": "0x100"}} {
		text, err := json.Marshal(map[string]any{"precompiles": list})
		if err != nil {
			t.Fatal(err)
		}
		fork := &forkConfig{}
		if err := decode(text, fork); err != nil {
			t.Fatal(err)
		}
		if got := fork.getPayloadVersion(); got != want {
			t.Errorf("%v: V%d, want V%d", list, got, want)
		}
	}
}

// TestLarge: numbers are read and written without leading zeros.
func TestLarge(t *testing.T) {
	for _, text := range []string{"0x0", "0x1", "0xf0", "0x100", "0x3b9aca00"} {
		var l large
		if err := l.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if back, _ := l.MarshalText(); !bytes.Equal(back, []byte(text)) {
			t.Errorf("%s becomes %s", text, back)
		}
	}
}
