package stats_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"pgregory.net/rapid"

	"blockprint"
	"blockprint/gridcoin/stats"
)

func user(credit string) string {
	return "<user>\n <id>12</id>\n <name>a &lt;b&gt;</name>\n <total_credit>" + credit + "</total_credit>\n <expavg_credit>1.5</expavg_credit>\n</user>\n"
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		text            string
		users, credited int
		total           uint64
		exact           string
	}{
		"two users":          {"<users>\n" + user("1.25") + user("2.5") + "</users>\n", 2, 2, 4, "3.750000"},
		"ties to even":       {"<users>" + user("0.5") + user("2") + "</users>", 2, 2, 2, "2.500000"},
		"on one line":        {strings.ReplaceAll("<users>"+user("7")+user("8")+"</users>", "\n", ""), 2, 2, 15, "15.000000"},
		"with a declaration": {"<?xml version=\"1.0\"?><!DOCTYPE x>\n<!-- a > b --><users a=\"x>y\">" + user("3") + "</users><!-- end -->\n", 1, 1, 3, "3.000000"},
		"CDATA":              {"<users><!-- a --><user><name><![CDATA[<b>]]></name><total_credit>4</total_credit></user></users>", 1, 1, 4, "4.000000"},
		"no number":          {"<users>" + user("many") + user("") + user("5") + user("NaN") + "</users>", 4, 1, 5, "5.000000"},
		"elsewhere":          {"<users><total_credit>9</total_credit><user><team><total_credit>8</total_credit></team><total_credit>1</total_credit></user></users>", 1, 1, 8, "8.000000"},
		"large and small":    {"<users>" + user("9007199254740993") + user("0.000001") + user("1e3") + user("-5") + "</users>", 4, 4, 9007199254741988, "9007199254741988.000001"},
		"empty elements":     {"<users><user/><user><has_profile/><total_credit>2</total_credit></user></users>", 2, 1, 2, "2.000000"},
	} {
		e, err := stats.Parse(strings.NewReader(c.text), stats.Limits{})
		if err != nil || e.Users != c.users || e.Credited != c.credited || e.Total != c.total || e.Exact != c.exact {
			t.Errorf("%s: %+v (%v)", name, e, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := "<users>" + user("1") + "</users>"
	for name, c := range map[string]struct{ text, want string }{
		"nothing":        {"", "text ends before"},
		"cut off":        {good[:len(good)-3], "user 1: the text ends before </users>"},
		"cut in a user":  {good[:60], "byte 60, user 1: the text ends before"},
		"no users":       {"<users></users>", "but no credit"},
		"users of none":  {"<users>" + user("") + "</users>", "the export has 1 users but no credit"},
		"another file":   {"<teams></teams>", "begins with <teams>"},
		"a page":         {"<!doctype html><html><body>", "begins with <html>"},
		"an open record": {"<users><user><total_credit>1</total_credit></users>", "the last record is not closed before </users>"},
		"something more": {good + "<users>", `"<users>" follows </users>`},
		"text after":     {good + "more", `"more" follows </users>`},
		"too much":       {"<users>" + user("1e20") + "</users>", "does not fit an unsigned 64-bit number"},
		"less than none": {"<users>" + user("-3") + "</users>", "does not fit an unsigned 64-bit number"},
		"a long tag":     {"<" + strings.Repeat("x", 100_000) + ">", "a tag has more than 65536 bytes"},
		"damaged":        {"<users>" + strings.Repeat("<user><name><b></name><total_credit>1</total_credit></user>", 51) + "</users>", "51 of 51 records are malformed, the first at byte 29"},
	} {
		if e, err := stats.Parse(strings.NewReader(c.text), stats.Limits{}); blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v (%v)", name, e, err)
		}
	}
	if _, err := stats.Parse(strings.NewReader(good), stats.Limits{Text: 20}); err == nil || !strings.Contains(err.Error(), "bomb") {
		t.Errorf("%v", err)
	}
}

// TestOddRecords: text that strangers write damages at most its own record, and such records are counted.
func TestOddRecords(t *testing.T) {
	long := strings.Repeat("x", 300_000)
	for name, text := range map[string]string{
		"a heart":         "I <3 you",
		"a tag":           "A & B <overseas>",
		"an end tag":      "a</b>",
		"two names":       "a</name>",
		"an end":          "a</user>",
		"a beginning":     "a<user>",
		"all ends":        "a</user></users>",
		"the end":         "a</users>",
		"a comment":       "<!-- a",
		"a section":       "<![CDATA[",
		"an instruction":  "<?xml",
		"quotes":          `<a href="`,
		"an empty tag":    "<>",
		"a long comment":  "<!--" + long + "-->",
		"a long tag":      "<a" + long + ">",
		"a long attempt":  "<a" + long,
		"a byte of 8 bit": "<\xe9>",
		"half a tag":      "</",
	} {
		record := func(credit string) string {
			return "<user>\n <id>3</id>\n <name>" + text + "</name>\n <total_credit>" + credit + "</total_credit>\n</user>\n"
		}
		export := "<users>\n" + user("100") + record("50.5") + user("7") + record("0.25") + "</users>\n"
		for form, export := range map[string]string{"lines": export, "one line": strings.ReplaceAll(export, "\n", "")} {
			e, err := stats.Parse(strings.NewReader(export), stats.Limits{})
			if err != nil || e.Exact != "157.750000" || e.Users < 4 || e.Odd > 2 {
				t.Errorf("%s, %s: %+v (%v)", name, form, e, err)
			}
		}
	}
	e, err := stats.Parse(strings.NewReader("<users>"+user("1")+"<user><country>A <overseas></country><total_credit>2</total_credit></user></users>"), stats.Limits{})
	if want := int64(len("<users>" + user("1") + "<user><country>A <overseas></country>")); err != nil || e.Odd != 1 || e.FirstOdd != want {
		t.Errorf("%+v (%v), want the first odd record named at byte %d", e, err, want)
	}
}

// TestCredits: the first credit in a record counts, if it is a number by Gridcoin's grammar.
func TestCredits(t *testing.T) {
	for credit, want := range map[string]string{
		"5":             "5.000000",
		"5.":            "5.000000",
		".5":            "0.500000",
		"+5e-1":         "0.500000",
		"\n5\n":         "5.000000",
		"0x10":          "",
		"1_000":         "",
		"12abc":         "",
		"1e":            "",
		"1e400":         "",
		"inf":           "",
		" 5":            "",
		"5 ":            "",
		"1,5":           "",
		"<b>5</b>":      "",
		"0e-999999999":  "0.000000",
		"1e-2000000000": "0.000000",
	} {
		exact := "1.000000"
		if want != "" {
			sum := 0.0
			if _, err := fmt.Sscan(want, &sum); err != nil {
				t.Fatal(err)
			}
			exact = fmt.Sprintf("%.6f", 1+sum)
		}
		e, err := stats.Parse(strings.NewReader("<users>"+user("1")+user(credit)+"</users>"), stats.Limits{})
		if err != nil || e.Exact != exact || (e.Credited == 2) != (want != "") {
			t.Errorf("%q: %+v (%v), want %s", credit, e, err, exact)
		}
	}
	for twice, want := range map[string]string{
		"<total_credit>2</total_credit><total_credit>3</total_credit>":                     "3.000000",
		"<total_credit>many</total_credit><total_credit>3</total_credit>":                  "1.000000",
		"<total_credit>2<x></total_credit><total_credit>3</total_credit>":                  "1.000000",
		"<expavg_credit>9</expavg_credit><team><total_credit>2</total_credit></team>":      "3.000000",
		"<total_credit/><total_credit>2</total_credit>":                                    "3.000000",
		"<total_credit>2</total_credit><name></user></name><total_credit>3</total_credit>": "3.000000",
	} {
		e, err := stats.Parse(strings.NewReader("<users>"+user("1")+"<user>"+twice+"</user></users>"), stats.Limits{})
		if err != nil || e.Exact != want {
			t.Errorf("%s: %+v (%v), want %s", twice, e, err, want)
		}
	}
}

// asGridcoin sums up credits as Gridcoin's scraper does: line by line, a record from <user> to </user>, whose credit is the text
// between the first <total_credit> and the next </total_credit>.
func asGridcoin(text string) (sum float64) {
	record := ""
	for line := range strings.SplitSeq(text, "\n") {
		switch line {
		case "<user>":
			record = ""
		case "</user>":
			_, rest, ok := strings.Cut(record, "<total_credit>")
			credit, _, closed := strings.Cut(rest, "</total_credit>")
			v, err := strconv.ParseFloat(credit, 64)
			if ok && closed && err == nil && !strings.ContainsAny(credit, "xX_ iInN") {
				sum += v
			}
			record = ""
		default:
			record += line
		}
	}
	return sum
}

// TestAsGridcoin: whatever people write, the total is Gridcoin's.
func TestAsGridcoin(t *testing.T) {
	pieces := []string{"<", ">", "&amp;", "<3", "<b>", "</b>", "</name>", "</user>", "<user>", "</users>", "<!--", "-->", "<![CDATA[", "]]>", "<?", `"`, "'", "a", " ", "/", "<total_credit>7</total_credit>", "<x/>"}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString("<?xml version=\"1.0\"?>\n<users>\n<user>\n<total_credit>1</total_credit>\n</user>\n")
		for range rapid.IntRange(1, 6).Draw(t, "records") {
			text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 5).Draw(t, "text"), "")
			credit := rapid.SampledFrom([]string{"2", "3.5", "0x10", "12abc", ""}).Draw(t, "credit")
			fmt.Fprintf(&b, "<user>\n <id>1</id>\n <name>%s</name>\n <total_credit>%s</total_credit>\n <country>%s</country>\n</user>\n", text, credit, text)
		}
		b.WriteString("</users>\n")
		e, err := stats.Parse(strings.NewReader(b.String()), stats.Limits{})
		if want := asGridcoin(b.String()); err != nil || e.Total != uint64(math.RoundToEven(want)) {
			t.Fatalf("%+v (%v), want %v of\n%s", e, err, want, b.String())
		}
	})
}

func zipped(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestGzip: a truncated or damaged file is refused even if all users can be read, and a decompression bomb is not unpacked.
func TestGzip(t *testing.T) {
	file := zipped(t, []byte("<users>"+strings.Repeat(user("2.5"), 1000)+"</users>\n"))
	if e, err := stats.ParseGzip(bytes.NewReader(file), stats.Limits{}); err != nil || e.Users != 1000 || e.Total != 2500 {
		t.Errorf("%+v (%v)", e, err)
	}
	for cut := range 12 {
		if e, err := stats.ParseGzip(bytes.NewReader(file[:len(file)-1-cut]), stats.Limits{}); err == nil {
			t.Errorf("cut by %d: %+v", cut+1, e)
		}
	}
	damaged := bytes.Clone(file)
	damaged[len(damaged)-6] ^= 1 // the checksum
	if _, err := stats.ParseGzip(bytes.NewReader(damaged), stats.Limits{}); err == nil {
		t.Error("a wrong checksum was taken")
	}
	if _, err := stats.ParseGzip(strings.NewReader("<html>"), stats.Limits{}); err == nil || !strings.Contains(err.Error(), "not a gzip file") {
		t.Errorf("%v", err)
	}
	bomb := zipped(t, append([]byte("<users>"), bytes.Repeat([]byte(" "), 50<<20)...))
	if _, err := stats.ParseGzip(bytes.NewReader(bomb), stats.Limits{Text: 1 << 20}); err == nil || !strings.Contains(err.Error(), "bomb") {
		t.Errorf("%v", err)
	}
}

// manyUsers streams an export of n users.
type manyUsers struct {
	n, i int
	rng  *rand.Rand
	rest []byte
	sum  float64
}

func (m *manyUsers) Read(b []byte) (int, error) {
	if len(m.rest) == 0 {
		switch {
		case m.i == 0:
			m.rest = append(m.rest, "<users>\n"...)
		case m.i <= m.n:
			credit := m.rng.Float64() * 1e6
			text := fmt.Sprintf("%.6f", credit)
			m.rest = fmt.Appendf(m.rest[:0], "<user>\n <id>%d</id>\n <name>user %d</name>\n <country>International</country>\n <create_time>%d</create_time>\n <total_credit>%s</total_credit>\n <expavg_credit>%.6f</expavg_credit>\n <expavg_time>1087542007.701900</expavg_time>\n <cpid>%032x</cpid>\n</user>\n",
				m.i, m.i, 1000000000+m.i, text, credit/100, m.i)
			var v float64
			_, _ = fmt.Sscan(text, &v)
			m.sum += v
		case m.i == m.n+1:
			m.rest = append(m.rest[:0], "</users>\n"...)
		default:
			return 0, io.EOF
		}
		m.i++
	}
	n := copy(b, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// TestMany: credits are summed up in floating point, in the order of the file.
func TestMany(t *testing.T) {
	n := 200_000
	m := &manyUsers{n: n, rng: rand.New(rand.NewPCG(1, 2))}
	e, err := stats.Parse(m, stats.Limits{})
	if err != nil || e.Users != n || e.Total != uint64(math.RoundToEven(m.sum)) {
		t.Errorf("%+v, want %v (%v)", e, m.sum, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("<users>"+user("1")+"</users>", 7)
	f.Add("<users><!-- > --><user a='>'/></users>", 3)
	f.Fuzz(func(t *testing.T, text string, size int) {
		a, errA := stats.Parse(strings.NewReader(text), stats.Limits{Text: 1 << 20})
		b, errB := stats.Parse(&small{strings.NewReader(text), 1 + size&7}, stats.Limits{Text: 1 << 20})
		if (errA == nil) != (errB == nil) || errA == nil && *a != *b {
			t.Fatalf("%+v (%v), in small pieces %+v (%v)", a, errA, b, errB)
		}
	})
}

type small struct {
	r io.Reader
	n int
}

func (s *small) Read(b []byte) (int, error) { return s.r.Read(b[:min(len(b), s.n)]) }

// BenchmarkParse compares parsing an export with only unpacking it.
func BenchmarkParse(b *testing.B) {
	text, err := io.ReadAll(&manyUsers{n: 100_000, rng: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		b.Fatal(err)
	}
	file := zipped(b, text)
	b.Run("gunzip only", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			z, err := gzip.NewReader(bytes.NewReader(file))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, z); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gunzip and parse", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := stats.ParseGzip(bytes.NewReader(file), stats.Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse only", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := stats.Parse(bytes.NewReader(text), stats.Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
