package eel

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-faster/jx"
)

// All JSON is read here, with jx, by tables of fields: a payload of a megabyte is read in place, without reflection, and
// errors name fields instead of Go types. The one exception is tape.go, which recognizes a payload before it is stored.

// reader reads one value.
type reader func(d *jx.Decoder) error

// table maps the names of an object's fields to their readers.
type table map[string]reader

// object reads an object. A field that is null counts as missing. A field that the table lacks is skipped.
func (t table) object(d *jx.Decoder) error { return t.read(d, false) }

// strict is like object, but a field that the table lacks is an error.
func (t table) strict(d *jx.Decoder) error { return t.read(d, true) }

func (t table) read(d *jx.Decoder, strict bool) error {
	return eachField(d, func(name string) error {
		read, ok := t[name]
		switch {
		case !ok && strict:
			return fmt.Errorf("unknown field %q", name)
		case !ok || d.Next() == jx.Null:
			return d.Skip()
		}
		if err := read(d); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// eachField calls read at the value of each field of an object.
func eachField(d *jx.Decoder, read func(name string) error) error {
	if err := expect(d, jx.Object); err != nil {
		return err
	}
	fields, err := d.ObjIter()
	if err != nil {
		return err
	}
	for fields.Next() {
		if err := read(string(fields.Key())); err != nil {
			return err
		}
	}
	return fields.Err()
}

// eachItem calls read at each element of an array.
func eachItem(d *jx.Decoder, read reader) error {
	if err := expect(d, jx.Array); err != nil {
		return err
	}
	items, err := d.ArrIter()
	if err != nil {
		return err
	}
	for items.Next() {
		d.Next() // skips blanks, which would be part of a raw value
		if err := read(d); err != nil {
			return err
		}
	}
	return items.Err()
}

func expect(d *jx.Decoder, want jx.Type) error {
	if got := d.Next(); got != want && got != jx.Invalid { // if the text is no JSON, the error of jx says more
		return fmt.Errorf("expected a JSON %s, not a JSON %s", want, got)
	}
	return nil
}

// value makes a reader of a string into a new T.
func value[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](into **T) reader {
	return func(d *jx.Decoder) error {
		*into = new(T)
		return text(d, P(*into))
	}
}

// list makes a reader of an array of strings into a new slice, which is not nil.
func list[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](into **[]T) reader {
	return func(d *jx.Decoder) error {
		*into = &[]T{}
		return eachItem(d, func(d *jx.Decoder) error {
			var item T
			err := text(d, P(&item))
			**into = append(**into, item)
			return err
		})
	}
}

// text reads a string.
func text(d *jx.Decoder, into encoding.TextUnmarshaler) error {
	if err := expect(d, jx.String); err != nil {
		return err
	}
	b, err := d.StrBytes()
	if err != nil {
		return err
	}
	return into.UnmarshalText(b)
}

// str makes a reader of a string as it is.
func str(into *string) reader {
	return func(d *jx.Decoder) (err error) {
		if err = expect(d, jx.String); err == nil {
			*into, err = d.Str()
		}
		return err
	}
}

// number makes a reader of a number. Some clients write it as a string, decimal or hexadecimal.
func number(into *uint64) reader {
	return func(d *jx.Decoder) error {
		raw, err := d.Raw()
		if err != nil {
			return err
		}
		word, base := strings.Trim(string(raw), `"`), 10
		if digits, hexadecimal := strings.CutPrefix(word, "0x"); hexadecimal {
			word, base = digits, 16
		}
		if *into, err = strconv.ParseUint(word, base, 64); err != nil {
			return fmt.Errorf("expected a number, not %.40s", raw)
		}
		return nil
	}
}

// raw makes a reader that takes a value as it is written. The result is a part of the text, not a copy.
func raw(into *json.RawMessage) reader {
	return func(d *jx.Decoder) error {
		r, err := d.Raw()
		*into = json.RawMessage(r)
		return err
	}
}

// decode reads a text that consists of one value.
func decode(text []byte, read reader) error {
	d := jx.DecodeBytes(text)
	if err := read(d); err != nil {
		return err
	}
	return end(d)
}

// end checks that nothing follows.
func end(d *jx.Decoder) error {
	if d.Next() != jx.Invalid || !errors.Is(d.Skip(), io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// required reads a parameter that must not be null.
func required(text json.RawMessage, read reader) error {
	if isNull(text) {
		return errors.New("it is null")
	}
	return decode(text, read)
}

func isNull(text []byte) bool { return string(bytes.TrimSpace(text)) == "null" }
