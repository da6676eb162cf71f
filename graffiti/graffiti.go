// Package graffiti reads what the texts of blocks say about who built them, by rules that a file can replace:
//
//	rules := graffiti.Default("mainnet")
//	client := rules.Guess(text).Client
package graffiti

import (
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"blockprint"
	"blockprint/file"
)

//go:embed rules.toml
var builtin []byte

// Rules tell clients from graffiti texts. A wrong label is worse than none, since labels go into training and
// into what is measured: so what software writes comes before what people write, and a text that may mean something else
// names nobody. The order is: codes of clients, codes of Charon, forms that tools write, words.
type Rules struct {
	codes     map[string]blockprint.Client
	bare      map[string]bool // codes that are written without digits after texts of any length
	charon    map[string]blockprint.Client
	execution map[string]string
	letters   map[string]string
	patterns  []pattern
	words     map[string]blockprint.Client
	negations []string
}

type pattern struct {
	client    blockprint.Client // empty: the group "client" names it
	re        *regexp.Regexp
	name      int // index of the group, -1 if there is none
	version   int
	execution int
}

// Default returns the built-in rules for a network.
func Default(network string) *Rules {
	r, err := Parse(builtin, network)
	if err != nil {
		panic("built-in graffiti rules: " + err.Error()) // a test parses them
	}
	return r
}

// Load reads rules from a file; an empty path means the built-in ones.
func Load(path, network string) (*Rules, error) {
	if path == "" {
		return Default(network), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.NotFound, "graffiti rules: %w", err)
	}
	r, err := Parse(data, network)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "graffiti rules %s: %w", path, err)
	}
	return r, nil
}

// Parse reads rules in TOML (rules.toml explains the form) and keeps those of a network.
func Parse(data []byte, network string) (*Rules, error) {
	var in struct {
		Code []struct {
			Consensus string `toml:"consensus"`
			Client    string `toml:"client"`
			Bare      bool   `toml:"bare"`
		} `toml:"code"`
		CharonCodes      map[string]string `toml:"charon_codes"`
		ExecutionCodes   map[string]string `toml:"execution_codes"`
		ExecutionLetters map[string]string `toml:"execution_letters"`
		Pattern          []struct {
			Client   string   `toml:"client"`
			Match    string   `toml:"match"`
			Networks []string `toml:"networks"`
		} `toml:"pattern"`
		Word []struct {
			Client string   `toml:"client"`
			Words  []string `toml:"words"`
		} `toml:"word"`
		Negations []string `toml:"negations"`
	}
	if err := file.DecodeTOML(data, &in); err != nil {
		return nil, err
	}
	r := &Rules{
		codes: map[string]blockprint.Client{}, bare: map[string]bool{}, charon: map[string]blockprint.Client{}, words: map[string]blockprint.Client{},
		execution: in.ExecutionCodes, letters: in.ExecutionLetters, negations: in.Negations,
	}
	for _, c := range in.Code {
		client, err := blockprint.ParseClient(c.Client)
		if err != nil {
			return nil, fmt.Errorf("code %q: %w", c.Consensus, err)
		}
		if len(c.Consensus) != 2 || strings.ToUpper(c.Consensus) != c.Consensus {
			return nil, fmt.Errorf("code %q: expected two capital letters", c.Consensus)
		}
		r.codes[c.Consensus], r.bare[c.Consensus] = client, c.Bare
	}
	for code, name := range in.CharonCodes {
		client, err := blockprint.ParseClient(name)
		if err != nil {
			return nil, fmt.Errorf("code %q of Charon: %w", code, err)
		}
		r.charon[code] = client
	}
	for _, w := range in.Word {
		client, err := blockprint.ParseClient(w.Client)
		if err != nil {
			return nil, fmt.Errorf("word: %w", err)
		}
		for _, word := range w.Words {
			r.words[word] = client
		}
	}
	for i, p := range in.Pattern {
		re, err := regexp.Compile(`\A(?:` + p.Match + `)`)
		if err != nil {
			return nil, fmt.Errorf("pattern %d (%s): %w", i+1, p.Client, err)
		}
		client, err := blockprint.ParseClient(p.Client)
		if p.Client == "" && re.SubexpIndex("client") > 0 {
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("pattern %d: %w", i+1, err)
		}
		if len(p.Networks) > 0 && !slices.Contains(p.Networks, network) {
			continue
		}
		r.patterns = append(r.patterns, pattern{client, re, re.SubexpIndex("client"), re.SubexpIndex("version"), re.SubexpIndex("execution")})
	}
	return r, nil
}

// codeForm finds one or two codes with their commit digits, standing by themselves. What lengths and letters are
// meant is decided in readCodes.
var codeForm = regexp.MustCompile(`(?:^|[ |,;(])([A-Z]{2})([0-9a-f]{8}|[0-9a-f]{4}|[0-9a-f]{2})?(?:([A-Z]{2})([0-9a-f]{8}|[0-9a-f]{4}|[0-9a-f]{2})?)?(?:$|[ )])`)

// Guess returns what a text says. Disabled clients are passed over, so that a later rule may still match.
func (r *Rules) Guess(text string, disabled ...blockprint.Client) blockprint.Graffiti {
	text = strings.TrimRight(text, "\x00") // in files that others wrote
	for _, read := range []func(string) blockprint.Graffiti{r.readGlued, r.readCodes, r.readCharon} {
		g := read(text)
		if g.Client != "" && !slices.Contains(disabled, g.Client) {
			return r.withVersion(g, text)
		}
	}
	g := blockprint.Graffiti{Execution: r.readCodes(text).Execution}
	for i := range r.patterns {
		p := &r.patterns[i]
		m := p.re.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		client := p.client
		if client == "" {
			client, _ = blockprint.ParseLabel(m[p.name], nil) // another name is no client
		}
		if client == "" || slices.Contains(disabled, client) {
			continue
		}
		g.Client = client
		if p.version >= 0 {
			g.Version = m[p.version]
		}
		if p.execution >= 0 && g.Execution == "" {
			g.Execution = r.letters[m[p.execution]]
		}
		return g
	}
	g.Client = r.readWords(text, disabled)
	return g
}

// readWords returns the client that a text names. A word counts only as a whole, in any script, and a text that names two
// clients, or says that it is not one's, may mean either.
func (r *Rules) readWords(text string, disabled []blockprint.Client) (found blockprint.Client) {
	before := ""
	for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsMark(c) }) {
		c, ok := r.words[word]
		switch {
		case !ok || slices.Contains(disabled, c):
		case found != "" && found != c, slices.Contains(r.negations, strings.ToLower(before)):
			return ""
		default:
			found = c
		}
		before = word
	}
	return found
}

// readCharon reads the code that Charon appends to its operators' text.
func (r *Rules) readCharon(text string) blockprint.Graffiti {
	if at := len(text) - 4; at >= 0 && text[at:at+2] == "OB" {
		return blockprint.Graffiti{Client: r.charon[text[at+2:]]}
	}
	return blockprint.Graffiti{}
}

// withVersion prefers a release that the text spells out to the commit digits of the code.
func (r *Rules) withVersion(g blockprint.Graffiti, text string) blockprint.Graffiti {
	for _, p := range r.patterns {
		if p.client != g.Client || p.version < 0 {
			continue
		}
		if m := p.re.FindStringSubmatch(text); m != nil {
			g.Version = m[p.version]
			return g
		}
	}
	return g
}

// fullText is how long a graffiti is. Codes are put right behind a text only if both together fill it: Prysm (since
// v7.1.5) leaves the space out where it would cost digits, after 20, 24, 28 or 30 bytes, and Teku after 28.
const fullText = 32

var gluedForm = regexp.MustCompile(`([A-Z]{2})([0-9a-f]{4}|[0-9a-f]{2}|)([A-Z]{2})([0-9a-f]{4}|[0-9a-f]{2}|)$`)

// readGlued reads codes without a separator before them. Both must be known, with the same number of digits.
func (r *Rules) readGlued(text string) blockprint.Graffiti {
	if len(text) != fullText {
		return blockprint.Graffiti{}
	}
	m := gluedForm.FindStringSubmatch(text)
	if m != nil && m[4] == "" && m[3] != "PM" && m[3] != "TK" { // the others' letters would be the end of a word
		m = nil
	}
	if m != nil && len(m[2]) == len(m[4]) {
		if execution, ok := r.execution[m[1]]; ok && r.codes[m[3]] != "" {
			return blockprint.Graffiti{Client: r.codes[m[3]], Execution: execution, Version: m[4]}
		}
		if execution, ok := r.execution[m[3]]; ok && r.codes[m[1]] != "" {
			return blockprint.Graffiti{Client: r.codes[m[1]], Execution: execution, Version: m[2]}
		}
	}
	if strings.HasSuffix(text, "PM") { // Prysm's alone, after 30 bytes
		return blockprint.Graffiti{Client: r.codes["PM"]}
	}
	return blockprint.Graffiti{}
}

// readCodes looks for the machine-written codes. Without commit digits they count only at the end of the text:
// two or four capital letters in the middle of a sentence are likelier a word.
func (r *Rules) readCodes(text string) blockprint.Graffiti {
	var found blockprint.Graffiti
	for rest, at := text, 0; ; {
		m := codeForm.FindStringSubmatchIndex(rest)
		if m == nil {
			return found
		}
		atEnd := strings.TrimRight(rest[m[1]:], " ") == "" && !strings.HasSuffix(rest[:m[1]], ")")
		// A code alone is also a country or the time of day: it counts if nothing else is there, or no room for more was.
		alone := strings.TrimSpace(text) == group(rest, m, 1) || len(text) >= fullText-1
		g, ok := r.readCode(alone, group(rest, m, 1), group(rest, m, 2), group(rest, m, 3), group(rest, m, 4), atEnd)
		if ok {
			found = g // the last one is the one that the software appended
		}
		// Step back over the separator, which the next code needs too.
		step := max(m[1]-1, 1)
		at += step
		rest = text[at:]
	}
}

func (r *Rules) readCode(alone bool, code1, digits1, code2, digits2 string, atEnd bool) (blockprint.Graffiti, bool) {
	if digits1 == "" && digits2 == "" && !atEnd {
		return blockprint.Graffiti{}, false
	}
	if code2 == "" {
		if c, ok := r.codes[code1]; ok && atEnd && (digits1 != "" || alone || r.bare[code1]) {
			return blockprint.Graffiti{Client: c, Version: digits1}, true
		}
		if el, ok := r.execution[code1]; ok && digits1 != "" {
			return blockprint.Graffiti{Execution: el}, true
		}
		return blockprint.Graffiti{}, false
	}
	c, digits, el := r.codes[code2], digits2, code1
	if c == "" {
		c, digits, el = r.codes[code1], digits1, code2
	}
	name, ok := r.execution[el]
	if c == "" || !ok && digits1 == "" {
		return blockprint.Graffiti{}, false
	}
	return blockprint.Graffiti{Client: c, Version: digits, Execution: name}, true
}

func group(s string, m []int, n int) string {
	if m[2*n] < 0 {
		return ""
	}
	return s[m[2*n]:m[2*n+1]]
}
