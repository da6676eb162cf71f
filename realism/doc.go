// Package realism says how much the blocks of a simulated network look like real ones. It reads the shape of a block
// (how many attestations, for which slots, of how many committees and voters, how many of them new) from the block
// alone: the sizes of committees follow from the lengths of its bit lists, so no registry is needed. The same code
// measures real and simulated blocks.
package realism
