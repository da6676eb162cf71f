package blockprint

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

//go:embed graffiti_rules.toml
var builtinGraffitiRules []byte

// Graffiti is what a block's text says about who built it. It is a label, not the truth: anyone can write it.
type Graffiti struct {
	Client    Client // empty if the text names none
	Execution string // the execution client's name, empty if unknown
	Version   string // release ("v1.3.0") or commit digits of the consensus client, empty if unknown
}

// GraffitiText turns the 32 bytes of a block's graffiti into text: zero bytes at the end cut off, bytes that are
// not UTF-8 replaced.
func GraffitiText(b []byte) string {
	return strings.ToValidUTF8(strings.TrimRight(string(b), "\x00"), string(utf8.RuneError))
}

// GraffitiRules tell clients from graffiti texts. A wrong label is worse than none, since labels go into training and
// into what is measured: so what software writes comes before what people write, and a text that may mean something else
// names nobody. The order is: codes of clients, codes of Charon, forms that tools write, words.
type GraffitiRules struct {
	codes     map[string]Client
	bare      map[string]bool // codes that are written without digits after texts of any length
	charon    map[string]Client
	execution map[string]string
	letters   map[string]string
	patterns  []graffitiPattern
	words     map[string]Client
	negations []string
}

type graffitiPattern struct {
	client    Client // empty: the group "client" names it
	re        *regexp.Regexp
	name      int // index of the group, -1 if there is none
	version   int
	execution int
}

// DefaultGraffitiRules returns the built-in rules for a network.
func DefaultGraffitiRules(network string) *GraffitiRules {
	r, err := ParseGraffitiRules(builtinGraffitiRules, network)
	if err != nil {
		panic("built-in graffiti rules: " + err.Error()) // a test parses them
	}
	return r
}

// LoadGraffitiRules reads rules from a file; an empty path means the built-in ones.
func LoadGraffitiRules(path, network string) (*GraffitiRules, error) {
	if path == "" {
		return DefaultGraffitiRules(network), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, Errorf(NotFound, "graffiti rules: %w", err)
	}
	r, err := ParseGraffitiRules(data, network)
	if err != nil {
		return nil, Errorf(Invalid, "graffiti rules %s: %w", path, err)
	}
	return r, nil
}

// ParseGraffitiRules reads rules in TOML (graffiti_rules.toml explains the form) and keeps those of a network.
func ParseGraffitiRules(data []byte, network string) (*GraffitiRules, error) {
	var file struct {
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
	if err := DecodeTOML(data, &file); err != nil {
		return nil, err
	}
	r := &GraffitiRules{
		codes: map[string]Client{}, bare: map[string]bool{}, charon: map[string]Client{}, words: map[string]Client{},
		execution: file.ExecutionCodes, letters: file.ExecutionLetters, negations: file.Negations,
	}
	for _, c := range file.Code {
		client, err := ParseClient(c.Client)
		if err != nil {
			return nil, fmt.Errorf("code %q: %w", c.Consensus, err)
		}
		if len(c.Consensus) != 2 || strings.ToUpper(c.Consensus) != c.Consensus {
			return nil, fmt.Errorf("code %q: expected two capital letters", c.Consensus)
		}
		r.codes[c.Consensus], r.bare[c.Consensus] = client, c.Bare
	}
	for code, name := range file.CharonCodes {
		client, err := ParseClient(name)
		if err != nil {
			return nil, fmt.Errorf("code %q of Charon: %w", code, err)
		}
		r.charon[code] = client
	}
	for _, w := range file.Word {
		client, err := ParseClient(w.Client)
		if err != nil {
			return nil, fmt.Errorf("word: %w", err)
		}
		for _, word := range w.Words {
			r.words[word] = client
		}
	}
	for i, p := range file.Pattern {
		re, err := regexp.Compile(`\A(?:` + p.Match + `)`)
		if err != nil {
			return nil, fmt.Errorf("pattern %d (%s): %w", i+1, p.Client, err)
		}
		client, err := ParseClient(p.Client)
		if p.Client == "" && re.SubexpIndex("client") > 0 {
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("pattern %d: %w", i+1, err)
		}
		if len(p.Networks) > 0 && !slices.Contains(p.Networks, network) {
			continue
		}
		r.patterns = append(r.patterns, graffitiPattern{client, re, re.SubexpIndex("client"), re.SubexpIndex("version"), re.SubexpIndex("execution")})
	}
	return r, nil
}

// codeForm finds one or two codes with their commit digits, standing by themselves. What lengths and letters are
// meant is decided in readCodes.
var codeForm = regexp.MustCompile(`(?:^|[ |,;(])([A-Z]{2})([0-9a-f]{8}|[0-9a-f]{4}|[0-9a-f]{2})?(?:([A-Z]{2})([0-9a-f]{8}|[0-9a-f]{4}|[0-9a-f]{2})?)?(?:$|[ )])`)

// Guess returns what a text says. Disabled clients are passed over, so that a later rule may still match.
func (r *GraffitiRules) Guess(text string, disabled ...Client) Graffiti {
	text = strings.TrimRight(text, "\x00") // in files that others wrote
	for _, read := range []func(string) Graffiti{r.readGlued, r.readCodes, r.readCharon} {
		g := read(text)
		if g.Client != "" && !slices.Contains(disabled, g.Client) {
			return r.withVersion(g, text)
		}
	}
	g := Graffiti{Execution: r.readCodes(text).Execution}
	for i := range r.patterns {
		p := &r.patterns[i]
		m := p.re.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		client := p.client
		if client == "" {
			client = clientNamed(m[p.name])
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

// clientNamed returns the client of a name in letters of any case.
func clientNamed(name string) Client {
	for _, c := range Clients() {
		if strings.EqualFold(string(c), name) {
			return c
		}
	}
	return ""
}

// readWords returns the client that a text names. A word counts only as a whole, in any script, and a text that names two
// clients, or says that it is not one's, may mean either.
func (r *GraffitiRules) readWords(text string, disabled []Client) (found Client) {
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
func (r *GraffitiRules) readCharon(text string) Graffiti {
	if at := len(text) - 4; at >= 0 && text[at:at+2] == "OB" {
		return Graffiti{Client: r.charon[text[at+2:]]}
	}
	return Graffiti{}
}

// withVersion prefers a release that the text spells out to the commit digits of the code.
func (r *GraffitiRules) withVersion(g Graffiti, text string) Graffiti {
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
func (r *GraffitiRules) readGlued(text string) Graffiti {
	if len(text) != fullText {
		return Graffiti{}
	}
	m := gluedForm.FindStringSubmatch(text)
	if m != nil && m[4] == "" && m[3] != "PM" && m[3] != "TK" { // the others' letters would be the end of a word
		m = nil
	}
	if m != nil && len(m[2]) == len(m[4]) {
		if execution, ok := r.execution[m[1]]; ok && r.codes[m[3]] != "" {
			return Graffiti{Client: r.codes[m[3]], Execution: execution, Version: m[4]}
		}
		if execution, ok := r.execution[m[3]]; ok && r.codes[m[1]] != "" {
			return Graffiti{Client: r.codes[m[1]], Execution: execution, Version: m[2]}
		}
	}
	if strings.HasSuffix(text, "PM") { // Prysm's alone, after 30 bytes
		return Graffiti{Client: r.codes["PM"]}
	}
	return Graffiti{}
}

// readCodes looks for the machine-written codes. Without commit digits they count only at the end of the text:
// two or four capital letters in the middle of a sentence are likelier a word.
func (r *GraffitiRules) readCodes(text string) Graffiti {
	var found Graffiti
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

func (r *GraffitiRules) readCode(alone bool, code1, digits1, code2, digits2 string, atEnd bool) (Graffiti, bool) {
	if digits1 == "" && digits2 == "" && !atEnd {
		return Graffiti{}, false
	}
	if code2 == "" {
		if c, ok := r.codes[code1]; ok && atEnd && (digits1 != "" || alone || r.bare[code1]) {
			return Graffiti{Client: c, Version: digits1}, true
		}
		if el, ok := r.execution[code1]; ok && digits1 != "" {
			return Graffiti{Execution: el}, true
		}
		return Graffiti{}, false
	}
	c, digits, el := r.codes[code2], digits2, code1
	if c == "" {
		c, digits, el = r.codes[code1], digits1, code2
	}
	name, ok := r.execution[el]
	if c == "" || !ok && digits1 == "" {
		return Graffiti{}, false
	}
	return Graffiti{Client: c, Version: digits, Execution: name}, true
}

func group(s string, m []int, n int) string {
	if m[2*n] < 0 {
		return ""
	}
	return s[m[2*n]:m[2*n+1]]
}

// DecodeTOML reads strict TOML: an unknown key is an error that names its line.
func DecodeTOML(data []byte, into any) error {
	dec := toml.NewDecoder(strings.NewReader(string(data))).DisallowUnknownFields()
	err := dec.Decode(into)
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		e := strict.Errors[0]
		row, col := e.Position()
		return fmt.Errorf("line %d, column %d: unknown key %q", row, col, strings.Join(e.Key(), "."))
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		row, col := bad.Position()
		return fmt.Errorf("line %d, column %d: %w", row, col, bad)
	}
	return err
}
