package lab

import (
	"encoding/hex"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"blockprint"
)

// The interop keys are those of eth2.0-pm, interop/mocked_start/keygen_test_vector.yaml.
func TestInteropKeys(t *testing.T) {
	for i, want := range []struct{ secret, public string }{
		{"25295f0d1d592a90b333e26e85149708208e9f8e8bc18f6c77bd62f8ad7a6866", "a99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"},
		{"51d0b65185db6989ab0b560d6deed19c7ead0e24b9b6372cbecb1f26bdfad000", "b89bebc699769726a318c8e9971bd3171297c61aea4a6578a7a4f94b547dcba5bac16a89108b6b6a1fe3695d1a874a0b"},
	} {
		key := secretKey(i)
		secret := key.Bytes()
		if got := hex.EncodeToString(secret[:]); got != want.secret {
			t.Errorf("secret key %d is %s, want %s", i, got, want.secret)
		}
		if got := publicKeys([]fr.Element{key})[0]; hex.EncodeToString(got[:]) != want.public {
			t.Errorf("public key %d is %x, want %s", i, got, want.public)
		}
	}
}

// A signature of the consensus layer's BLS test vectors (ethereum/bls12-381-tests, sign, message 56...56).
func TestSign(t *testing.T) {
	const secret = "263dbd792f5b1be47ed85f8938c0f29586af0d3ac7b977f21c278fe1462040e3"
	const want = "882730e5d03f6b42c3abc26d3372625034e1d871b65a8a6b900a56dae22da98abbe1b68f85e49fe7652a55ec3d0591c20767677e33e5cbb1207315c41a9ac03be39c2e7668edc043d6cb1d9fd93033caa8a1c5b0e84bedaeb6c64972503a43eb"
	b, err := hex.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	var key fr.Element
	key.SetBytes(b)
	var text blockprint.Root
	for i := range text {
		text[i] = 0x56
	}
	m := newMessage(text)
	if got := m.sign(&key); hex.EncodeToString(got[:]) != want {
		t.Errorf("signature %x, want %s", got, want)
	}
	if got := m.signAll([]fr.Element{secretKey(3), key}); hex.EncodeToString(got[1][:]) != want {
		t.Errorf("signature %x of many, want %s", got[1], want)
	}
}

// An aggregate's signature must be valid for the sum of the public keys: a pairing says so.
func TestAggregate(t *testing.T) {
	keys := secretKeys(20)[5:]
	m := newMessage(blockprint.Root{1, 2, 3})
	total := sum(keys)
	signature := m.sign(&total)
	valid := func(s Signature, by publicKey, of message) bool {
		_, _, g1, _ := bls12381.Generators()
		var point bls12381.G2Affine
		var key, minus bls12381.G1Affine
		if _, err := point.SetBytes(s[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := key.SetBytes(by[:]); err != nil {
			t.Fatal(err)
		}
		minus.Neg(&g1)
		ok, err := bls12381.PairingCheck([]bls12381.G1Affine{minus, key}, []bls12381.G2Affine{point, of.point})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !valid(signature, sumKeys(keys), m) {
		t.Error("the aggregate's signature is not valid")
	}
	if valid(signature, sumKeys(slices.Delete(keys, 0, 1)), m) || valid(signature, sumKeys(keys), newMessage(blockprint.Root{1, 2, 4})) {
		t.Error("the signature is valid for other keys or another message")
	}
}
