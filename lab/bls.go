// Package lab runs a private network on which real beacon nodes pack blocks from votes that are known. The nodes may be of
// any client and version; nothing is changed in them.
//
// MakeGenesis writes the network that they start with. Run plays all validators: it signs their votes, gives each node its
// own share of them by the standard API, asks all nodes for a block in every slot, publishes one, and writes a recording
// (package recording). It is the nodes' execution client, too (eel.Alone). WriteFeatures makes labeled training data of
// recordings, of this and of older ones.
package lab

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"blockprint"
)

// Signatures are BLS signatures of the minimal-pubkey-size scheme with proof of possession (consensus-specs, phase0,
// "BLS signatures"): public keys in G1, signatures in G2. All validators are ours, so an aggregate's signature is one
// multiplication by the sum of its voters' secret keys.

// ciphersuite is the domain separation tag of hashing to G2.
const ciphersuite = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"

// Signature is a signature in its compressed form.
type Signature [96]byte

// publicKey is a public key in its compressed form.
type publicKey [48]byte

// secretKey returns an interop validator's secret key (eth2.0-pm, interop/mocked_start): the SHA-256 of the index as
// 32 bytes in little-endian order, read as a little-endian number, modulo the group's order.
func secretKey(index int) (k fr.Element) {
	var in [32]byte
	binary.LittleEndian.PutUint64(in[:], uint64(index))
	h := sha256.Sum256(in[:])
	slices.Reverse(h[:])
	k.SetBytes(h[:])
	return k
}

// secretKeys returns the secret keys of interop validators 0 to n-1.
func secretKeys(n int) []fr.Element {
	keys := make([]fr.Element, n)
	for i := range keys {
		keys[i] = secretKey(i)
	}
	return keys
}

// publicKeys returns the public keys of secret ones.
func publicKeys(secrets []fr.Element) []publicKey {
	_, _, g1, _ := bls12381.Generators()
	points := bls12381.BatchScalarMultiplicationG1(&g1, secrets)
	keys := make([]publicKey, len(points))
	for i := range points {
		keys[i] = points[i].Bytes()
	}
	return keys
}

// sumKeys returns the sum of the public keys of secret ones: the public key of their aggregate.
func sumKeys(secrets []fr.Element) publicKey {
	return publicKeys([]fr.Element{sum(secrets)})[0]
}

func sum(secrets []fr.Element) (s fr.Element) {
	for i := range secrets {
		s.Add(&s, &secrets[i])
	}
	return s
}

// message is a signing root hashed to G2, which is most of the work when one key signs it. A message that many sign is
// hashed once.
type message struct{ point bls12381.G2Affine }

func newMessage(signingRoot blockprint.Root) message {
	p, err := bls12381.HashToG2(signingRoot[:], []byte(ciphersuite))
	if err != nil {
		panic(err) // only for a domain separation tag that is too long
	}
	return message{p}
}

func (m *message) sign(key *fr.Element) Signature {
	var p bls12381.G2Affine
	p.ScalarMultiplication(&m.point, key.BigInt(new(big.Int)))
	return p.Bytes()
}

// signAll signs with each of many keys, several times faster a signature than sign.
func (m *message) signAll(keys []fr.Element) []Signature {
	points := bls12381.BatchScalarMultiplicationG2(&m.point, keys)
	out := make([]Signature, len(points))
	for i := range points {
		out[i] = points[i].Bytes()
	}
	return out
}

// Domain types of what validators sign (consensus-specs).
const (
	domainProposer     = 0
	domainAttester     = 1
	domainRandao       = 2
	domainSelection    = 5
	domainAggregate    = 6
	domainSyncMessages = 7
)

// signingRoot mixes what is signed with what it is signed for.
func signingRoot(object blockprint.Root, domain byte, forkVersion [4]byte, genesisValidators blockprint.Root) blockprint.Root {
	var version blockprint.Root
	copy(version[:], forkVersion[:])
	forkData := pair(version, genesisValidators)
	d := blockprint.Root{domain}
	copy(d[4:], forkData[:28])
	return pair(object, d)
}

// pair is the hash tree root of two roots.
func pair(a, b blockprint.Root) blockprint.Root {
	return sha256.Sum256(slices.Concat(a[:], b[:]))
}
