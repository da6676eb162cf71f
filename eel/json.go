package eel

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-faster/jx"
)

// All JSON is read here, with jx, into variables by their types: a payload of a megabyte is read in place, names are exact, and
// errors name fields instead of Go types. The one exception is tape.go, which recognizes a payload before it is stored.

// reader reads one value.
type reader func(d *jx.Decoder) error

// scan reads a value into what a pointer points to: something with a method read or UnmarshalText, a string, a number, a value
// as it is written (a part of the text, not a copy), a pointer (to something new), a list (a new one, which is not nil), or a
// struct.
func scan(d *jx.Decoder, into any) (err error) {
	switch v := into.(type) {
	case interface{ read(d *jx.Decoder) error }:
		return v.read(d)
	case encoding.TextUnmarshaler:
		if err := expect(d, jx.String); err != nil {
			return err
		}
		text, err := d.StrBytes()
		if err != nil {
			return err
		}
		return v.UnmarshalText(text)
	case *string:
		if err = expect(d, jx.String); err == nil {
			*v, err = d.Str()
		}
		return err
	case *int:
		*v, err = d.Int()
		return err
	case *uint64:
		*v, err = number(d)
		return err
	case *json.RawMessage:
		text, err := d.Raw()
		*v = json.RawMessage(text)
		return err
	}
	v := reflect.ValueOf(into).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return scan(d, v.Interface())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return eachItem(d, func(d *jx.Decoder) error {
			item := reflect.New(v.Type().Elem())
			err := scan(d, item.Interface())
			v.Set(reflect.Append(v, item.Elem()))
			return err
		})
	}
	return object(d, into, false)
}

// object reads an object into a struct. A field that is null counts as missing. One that the struct lacks is skipped, or an error
// if strict is set.
func object(d *jx.Decoder, into any, strict bool) error {
	return eachField(d, func(name string) error {
		f := field(into, name)
		switch {
		case f == nil && strict:
			return fmt.Errorf("unknown field %q", name)
		case f == nil || d.Next() == jx.Null:
			return d.Skip()
		}
		if err := scan(d, f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// field returns a pointer to the field of a struct that has a JSON name; nil if none has.
func field(of any, name string) any {
	v := reflect.ValueOf(of).Elem()
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); tag == name && tag != "" {
			return v.Field(i).Addr().Interface()
		}
	}
	return nil
}

// fits checks which fields of a struct are given, not nil, for a version of a method. A tag such as since:"2,3" says that the
// field exists since version 2, and that it must be given since version 3; since:"3" says both, and since:"4," that it need
// not be given.
func fits(of any, version int) error {
	v := reflect.ValueOf(of).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		exists, must, two := strings.Cut(v.Type().Field(i).Tag.Get("since"), ",")
		if !two {
			must = exists
		}
		switch given, now := !v.Field(i).IsNil(), strconv.Itoa(version); { // of one digit, all of them
		case given && now < exists:
			return fmt.Errorf("%s belongs to a later fork than version %d of the method", name, version)
		case !given && must != "" && now >= must:
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
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

// number reads a number. Some clients write it as a string, decimal or hexadecimal.
func number(d *jx.Decoder) (uint64, error) {
	raw, err := d.Raw()
	if err != nil {
		return 0, err
	}
	word, base := strings.Trim(string(raw), `"`), 10
	if digits, hexadecimal := strings.CutPrefix(word, "0x"); hexadecimal {
		word, base = digits, 16
	}
	n, err := strconv.ParseUint(word, base, 64)
	if err != nil {
		return 0, fmt.Errorf("expected a number, not %.40s", raw)
	}
	return n, nil
}

// decode reads a text that consists of one value.
func decode(text []byte, into any) error {
	d := jx.DecodeBytes(text)
	if err := scan(d, into); err != nil {
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
func required(text json.RawMessage, into any) error {
	if isNull(text) {
		return errors.New("it is null")
	}
	return decode(text, into)
}

func isNull(text []byte) bool { return string(bytes.TrimSpace(text)) == "null" }
