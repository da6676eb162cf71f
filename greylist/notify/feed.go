package notify

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"time"

	"blockprint/greylist"
)

// feedLength is how many changes a feed has.
const feedLength = 100

// atomFeed is the document that encoding/xml writes. It is ours because the few elements that we use need no library.
type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Entries []atomEntry `xml:"entry"`
}

type atomEntry struct {
	ID      string   `xml:"id"`
	Title   string   `xml:"title"`
	Updated string   `xml:"updated"`
	Author  atomName `xml:"author"`
	Content string   `xml:"content"`
}

type atomName struct {
	Name string `xml:"name"`
}

// WriteFeed writes the newest changes as an Atom feed (RFC 4287). id identifies the feed: a URL or URN that never changes.
func (l Log) WriteFeed(ctx context.Context, id, title string, out io.Writer) error {
	list, err := l.After(ctx, 0, feedLength, true)
	if err != nil {
		return err
	}
	f := atomFeed{ID: id, Title: title, Updated: time.Unix(0, 0).UTC().Format(time.RFC3339)}
	for i, n := range list {
		at := time.Unix(n.Time, 0).UTC().Format(time.RFC3339)
		if i == 0 {
			f.Updated = at
		}
		f.Entries = append(f.Entries, atomEntry{
			ID: fmt.Sprintf("%s:%d", id, n.ID), Title: heading(n.Change), Updated: at, Author: atomName{"blockprint"},
			Content: fmt.Sprintf("%s, at height %d.", n.Sentence(), n.Height),
		})
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(out)
	enc.Indent("", "  ")
	if err := enc.Encode(f); err != nil {
		return err
	}
	_, err = io.WriteString(out, "\n")
	return err
}

// heading summarizes a change in a few words.
func heading(c greylist.Change) string {
	subject := greylist.Printable(c.Subject, most)
	if c.Old == c.New {
		return subject + ": " + c.Reason
	}
	return subject + ": " + c.New.Text()
}
