// Package graffiti finds out which client a block's text names, by rules that a file can replace:
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

// Rules recognize clients by their graffiti. A wrong label is worse than none, because models are trained and measured
// with labels. So software's texts take precedence over people's, and an ambiguous text names no client. The order is:
// clients' codes, Charon's codes, forms that tools write, words.
type Rules struct {
	codes     map[string]blockprint.Client
	bare      map[string]bool // codes that count without digits, whatever the text's length
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
	name      int // index of the group, -1 if the pattern lacks it; so are the next two
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

// Load reads rules from a file. An empty path means the built-in rules.
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

// Parse reads rules in TOML, which rules.toml explains, and keeps those for a network.
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

// codeForm finds one or two codes with their commit digits, separated from other text. readCode decides which of them
// count.
var codeForm = regexp.MustCompile(`(?:^|[ |,;(])([A-Z]{2})([0-9a-f]{8}|[0-9a-f]{4}|[0-9a-f]{2})?(?:([A-Z]{2})([0-9a-f]{8}|[0-9a-f]{4}|[0-9a-f]{2})?)?(?:$|[ )])`)

// Guess returns what a text says. It skips disabled clients, so that a later rule may match.
func (r *Rules) Guess(text string, disabled ...blockprint.Client) blockprint.Graffiti {
	text = strings.TrimRight(text, "\x00") // which other programs leave in their files
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

// readWords returns the client that a text names. Only whole words count, in any script. A text that names two clients, or
// negates one, names none.
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

// readCharon reads the code that Charon appends to an operator's text.
func (r *Rules) readCharon(text string) blockprint.Graffiti {
	if at := len(text) - 4; at >= 0 && text[at:at+2] == "OB" {
		return blockprint.Graffiti{Client: r.charon[text[at+2:]]}
	}
	return blockprint.Graffiti{}
}

// withVersion prefers a release in the text to the code's commit digits.
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

// fullText is the length of a graffiti. Only if text and codes together fill it may the space between them be missing:
// Prysm (since v7.1.5) omits it if it would cost digits, after 20, 24, 28, or 30 bytes, and Teku after 28.
const fullText = 32

var gluedForm = regexp.MustCompile(`([A-Z]{2})([0-9a-f]{4}|[0-9a-f]{2}|)([A-Z]{2})([0-9a-f]{4}|[0-9a-f]{2}|)$`)

// readGlued reads two codes without a separator before them. Both must be known and have the same number of digits.
func (r *Rules) readGlued(text string) blockprint.Graffiti {
	if len(text) != fullText {
		return blockprint.Graffiti{}
	}
	m := gluedForm.FindStringSubmatch(text)
	if m != nil && m[4] == "" && m[3] != "PM" && m[3] != "TK" { // other codes may be the end of a word
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
	if strings.HasSuffix(text, "PM") { // Prysm's code alone, after 30 bytes
		return blockprint.Graffiti{Client: r.codes["PM"]}
	}
	return blockprint.Graffiti{}
}

// readCodes finds codes that software wrote. Without commit digits they count only at the end of the text: two or four
// capital letters within a sentence are more likely a word.
func (r *Rules) readCodes(text string) blockprint.Graffiti {
	var found blockprint.Graffiti
	for rest, at := text, 0; ; {
		m := codeForm.FindStringSubmatchIndex(rest)
		if m == nil {
			return found
		}
		atEnd := strings.TrimRight(rest[m[1]:], " ") == "" && !strings.HasSuffix(rest[:m[1]], ")")
		// A single code may also be a country or a time of day. It counts if it is the whole text, or if the text left no
		// room for more.
		alone := strings.TrimSpace(text) == group(rest, m, 1) || len(text) >= fullText-1
		g, ok := r.readCode(alone, group(rest, m, 1), group(rest, m, 2), group(rest, m, 3), group(rest, m, 4), atEnd)
		if ok {
			found = g // software appends its code, so the last one counts
		}
		// Step back over the separator, which the next code needs, too.
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
