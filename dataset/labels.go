package dataset

import (
	"path/filepath"

	"blockprint"
	"blockprint/graffiti"
	"blockprint/names"
)

// Labels says where the true client of a block comes from.
type Labels struct {
	Rules   *graffiti.Rules     // what the block's graffiti says
	Disable []blockprint.Client // rules that are not used
	// Names are the clients that validators are known to run, nil for none. A block whose graffiti names another client
	// than its proposer is known to run gets no label.
	Names *names.Names
	// Directory takes the name of the directory that a file is in instead.
	Directory bool
}

// Origins counts where labels came from.
type Origins struct {
	Graffiti   int // the graffiti alone
	Validator  int // the proposer's index alone
	Both       int // the graffiti and the proposer's index, which agree
	Contradict int // blocks without a label because the two contradict each other
}

func (o *Origins) add(p Origins) {
	o.Graffiti += p.Graffiti
	o.Validator += p.Validator
	o.Both += p.Both
	o.Contradict += p.Contradict
}

// Of returns the client that built a block, "" if it is not known, and counts in o what said so.
func (l *Labels) Of(text string, proposer uint64, o *Origins) blockprint.Client {
	switch says, named := l.Rules.Guess(text, l.Disable...).Client, l.Names.Client(proposer); {
	case says == "" && named == "":
		return ""
	case named == "":
		o.Graffiti++
		return says
	case says == "":
		o.Validator++
		return named
	case says == named:
		o.Both++
		return named
	}
	o.Contradict++
	return ""
}

// of returns the client of a block of a file, whose directory is named after a client if labels come from there.
func (l *Labels) of(directory blockprint.Client, r *blockprint.BlockReward, o *Origins) blockprint.Client {
	if l.Directory {
		return directory
	}
	return l.Of(r.Meta.Graffiti, r.Meta.ProposerIndex, o)
}

// directory returns the client that a file's directory is named after, if that is what labels come from.
func (l *Labels) directory(path string) (blockprint.Client, error) {
	if !l.Directory {
		return "", nil
	}
	name := filepath.Base(filepath.Dir(path))
	client, err := blockprint.ParseClient(name)
	if err != nil {
		return "", blockprint.Errorf(blockprint.Invalid, "%s: its directory is its label: %w", path, err)
	}
	return client, nil
}

// String names the source of the labels, as a feature file keeps it.
func (l *Labels) String() string {
	switch {
	case l.Directory:
		return "directory"
	case l.Names != nil:
		return "graffiti and validator names"
	}
	return "graffiti"
}
