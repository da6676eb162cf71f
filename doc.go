// Package blockprint holds the words of the field and nothing else: slots and roots, clients and graffiti, public
// networks and their forks, block rewards, vectors of features, classifications, slot intervals and error codes. It does
// no I/O, parses no files and imports none of the other packages, so that each of them can use it.
//
// The usual path of a block through the program is
//
//	beacon.Block -> reward.Tracker -> BlockReward -> feature.Extractor -> Vector -> classify.Model -> Classification
//
// and the types at the joints are defined here.
package blockprint
