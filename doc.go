// Package blockprint holds the words of the field and nothing else: slots and roots, clients and graffiti,
// the fork schedule, block rewards, feature vectors, classifications, slot intervals, and error codes. It does no
// I/O and imports no other package of this module, so all of them can share it.
//
// A block usually takes this path through the program:
//
//	beacon.Block -> reward.Tracker -> BlockReward -> feature.Extract -> classify.Model -> Classification
//
// The types that packages exchange along that path are defined here.
package blockprint
