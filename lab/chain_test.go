package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/protolambda/zrnt/eth2/beacon/electra"
	"github.com/protolambda/zrnt/eth2/configs"
	"github.com/protolambda/ztyp/codec"
	ztyp "github.com/protolambda/ztyp/tree"

	"blockprint"
	"blockprint/beacon"
	"blockprint/eel"
)

func testGenesis(t *testing.T, change func(*GenesisOptions)) (*Chain, string) {
	t.Helper()
	dir := t.TempDir()
	o := GenesisOptions{
		Dir: dir, Validators: 192, CommitteeSize: 2, SlotDuration: 4 * time.Second, Fork: blockprint.Electra, FuluEpoch: blockprint.FarFuture,
		Compounding: 0.3, Start: time.Unix(1_800_000_000, 0), Seed: 7,
	}
	if change != nil {
		change(&o)
	}
	c, err := MakeGenesis(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// Another implementation of SSZ reads the state and finds the same root.
func TestGenesisState(t *testing.T) {
	c, dir := testGenesis(t, nil)
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	view, err := electra.AsBeaconStateView(electra.BeaconStateType(configs.Mainnet).Deserialize(codec.NewDecodingReader(bytes.NewReader(raw), uint64(len(raw)))))
	if err != nil {
		t.Fatal(err)
	}
	schemas := beacon.NewSchemas(&c.Spec)
	want := blockprint.Root(view.HashTreeRoot(ztyp.GetHashFn()))
	if got := blockprint.Root(stateType(&c.Spec, schemas, c.Genesis).Root(raw)); got != want {
		t.Errorf("root %s, want %s", got, want)
	}
	validators, err := view.Validators()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := validators.ValidatorCount(); err != nil || n != 192 {
		t.Errorf("%d validators, want 192 (%v)", n, err)
	}
	if got := blockprint.Root(validators.(interface{ HashTreeRoot(ztyp.HashFn) ztyp.Root }).HashTreeRoot(ztyp.GetHashFn())); got != c.GenesisValidatorsRoot {
		t.Errorf("genesis validators root %s, want %s", c.GenesisValidatorsRoot, got)
	}
}

// What is written is read back, with a new start too.
func TestReadChain(t *testing.T) {
	for _, fork := range []blockprint.Fork{blockprint.Electra, blockprint.Fulu} {
		made, dir := testGenesis(t, func(o *GenesisOptions) { o.Fork = fork })
		later := made.GenesisTime.Add(time.Hour)
		if _, err := Restart(dir, later); err != nil {
			t.Fatal(err)
		}
		c, err := ReadChain(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !c.GenesisTime.Equal(later) || c.Genesis != fork || c.GenesisValidatorsRoot != made.GenesisValidatorsRoot || c.Secret != made.Secret || !reflect.DeepEqual(c.Spec, made.Spec) {
			t.Errorf("%s: read %+v, made %+v", fork, c.Network, made.Network)
		}
		if len(c.Balances) != len(made.Balances) {
			t.Errorf("%s: %d validators, made %d", fork, len(c.Balances), len(made.Balances))
		}
	}
}

func TestBadChain(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"another time": func(dir string) error {
			path := filepath.Join(dir, configFile)
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Replace(text, []byte("MIN_GENESIS_TIME: 18"), []byte("MIN_GENESIS_TIME: 19"), 1), 0o600)
		},
		"cut off":        func(dir string) error { return os.Truncate(filepath.Join(dir, stateFile), 1<<20) },
		"no genesis.ssz": func(dir string) error { return os.Remove(filepath.Join(dir, stateFile)) },
	} {
		_, dir := testGenesis(t, nil)
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		_, err := ReadChain(dir)
		if blockprint.CodeOf(err) == blockprint.Internal || err == nil || !strings.Contains(err.Error(), stateFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExecutionHeader(t *testing.T) {
	block := string(eel.AloneGenesis())
	if _, err := executionHeader([]byte(block)); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string][2]string{
		"gasLimit":      {`"gasLimit":"0x`, `"gasLimit":"0x1122334455667788`},
		"stateRoot":     {`"stateRoot":"0x`, `"stateRoot":"`},
		"excessBlobGas": {`"excessBlobGas"`, `"excess"`},
	} {
		_, err := executionHeader([]byte(strings.Replace(block, change[0], change[1], 1)))
		if blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
