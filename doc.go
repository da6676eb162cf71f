// Package blockprint holds the words of the field and nothing else: slots and roots, clients and graffiti,
// the fork schedule, block rewards, classifications, slot intervals and error codes. It does no I/O and
// imports nothing of the other packages, so every one of them can speak it.
//
// The usual path of a block through the program is
//
//	beacon.Block -> reward.Tracker -> BlockReward -> feature.Extract -> classify.Model -> Classification
//
// and the types at the joints are defined here.
package blockprint
