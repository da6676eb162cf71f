package gridcoin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"blockprint"
	"blockprint/greylist"
	"blockprint/jsonhttp"
)

// Limits for a project's contract, in bytes.
const (
	maxName = 100
	maxURL  = 500
)

// addKey adds an entry.
func (s *Server) addKey(ctx context.Context, params []json.RawMessage) (out any, err error) {
	err = s.Shelf.Write(ctx, func(b *greylist.Book) error {
		out, err = AddKey(ctx, b, wordsOf(params), s.Now())
		return err
	})
	return out, err
}

// AddKey adds an entry to a greylist and announces what changes: add project NAME URL GDPR ADAPTER [STATUS], or delete
// project NAME, with the words in any case. It returns what Gridcoin's RPC does.
func AddKey(ctx context.Context, book *greylist.Book, words []string, now time.Time) (any, error) {
	if len(words) < 3 || !strings.EqualFold(words[1], "project") {
		return nil, badParameter("expected %s", addKeyHelp)
	}
	action := strings.ToLower(words[0])
	p := Project{Name: words[2], Status: greylist.Deleted, Version: 4, Time: now.Unix()}
	if p.Name == "" || len(p.Name) > maxName {
		return nil, badParameter("a project's name has 1 to %d bytes", maxName)
	}
	before, listed := book.Standing(p.Name)
	switch {
	case action == "add":
		if err := p.addition(words[3:]); err != nil {
			return nil, err
		}
	case action != "delete":
		return nil, badParameter("expected %s", addKeyHelp)
	case len(words) > 5: // a fourth and a fifth word were needed once, and mean nothing
		return nil, badParameter("addkey delete project NAME takes no sixth word, not %.40q", words[5])
	case !listed || before.Entry.Status == greylist.Deleted:
		if meant, err := book.Find(p.Name); err == nil && meant != p.Name {
			return nil, badParameter("there is no project %q: it may be %q", p.Name, meant)
		}
		return nil, badParameter("there is no project %q", p.Name)
	default:
		old := project(before.Entry)
		p.URL, p.GDPR, p.Adapter = old.URL, old.GDPR, old.Adapter
	}
	p.Hash = p.digest(book.Len())
	entry := &greylist.Entry{Subject: p.Name, Status: p.Status, Hash: p.Hash, Time: p.Time, Data: p.data()}
	book.Announce = true
	if _, err := book.Append(ctx, greylist.Event{Entry: entry}); err != nil {
		if blockprint.CodeOf(err) == blockprint.Invalid {
			return nil, badParameter("%v", err)
		}
		return nil, err
	}
	return keyed{"contract", keyed{"type", "project", "action", action, "body", keyed{
		"version", p.Version, "name", p.Name, "url", public(p.URL), "gdpr_controls", p.GDPR, "requires_external_adapter", p.Adapter, "status", p.Status.Text(),
	}}, "txid", p.Hash}, nil
}

// addition reads what follows the name: URL GDPR ADAPTER [STATUS], or as in payload version 3, URL GDPR STATUS.
func (p *Project) addition(text []string) error {
	if len(text) < 2 || len(text) > 4 {
		return badParameter("expected NAME URL GDPR ADAPTER [man_greylist|auto_greylist_override]")
	}
	if p.URL = text[0]; p.URL == "" || len(p.URL) > maxURL {
		return badParameter("a project's URL has 1 to %d bytes", maxURL)
	}
	if _, err := jsonhttp.ParseURL(p.URL, ""); err != nil {
		return badParameter("a project's URL is one such as https://example.org/project/@")
	}
	var err error
	if p.GDPR, err = truth("GDPR", text[1]); err != nil {
		return err
	}
	p.Status = greylist.Active
	if len(text) == 2 {
		return nil
	}
	status, ok := keyStatuses[strings.ToLower(text[len(text)-1])]
	if ok {
		p.Status = status
	} else if len(text) == 4 {
		return badParameter("status: expected man_greylist or auto_greylist_override, not %.40q", text[3])
	}
	if len(text) == 4 || !ok {
		p.Adapter, err = truth("ADAPTER", text[2])
	}
	return err
}

// keyStatuses are the words of addkey.
var keyStatuses = map[string]greylist.Status{"man_greylist": greylist.Manual, "auto_greylist_override": greylist.AutoOverride}

// digest names an entry. There is no transaction whose hash it could have.
func (p *Project) digest(place int) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%d %s %s %v %v %s %d", place, p.Name, p.URL, p.GDPR, p.Adapter, p.Status, p.Time))
	return hex.EncodeToString(h[:])
}
