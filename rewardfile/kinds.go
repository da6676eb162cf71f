package rewardfile

import (
	"encoding/json"
	"strconv"
	"strings"

	"blockprint"
)

// kind says how to read and write one kind of value. Optional keys with an empty value are not written.
type kind[V any] struct {
	read  func(*scanner, *V) error
	write func([]byte, *V) []byte
	empty func(*V) bool
}

// field is a key of an object whose value belongs to a T.
type field[T any] struct {
	name     string
	needed   bool
	optional bool
	kind[T]
}

// key returns a field. at returns where a T holds its value.
func key[T, V any](name string, at func(*T) *V, k kind[V]) field[T] {
	f := field[T]{name: name}
	f.read = func(s *scanner, v *T) error { return k.read(s, at(v)) }
	f.write = func(dst []byte, v *T) []byte { return k.write(dst, at(v)) }
	f.empty = func(v *T) bool { return k.empty(at(v)) }
	return f
}

// needed returns a field that every object must have.
func needed[T, V any](name string, at func(*T) *V, k kind[V]) field[T] {
	f := key(name, at, k)
	f.needed = true
	return f
}

// optional returns a field that is written only if it is not empty.
func optional[T, V any](name string, at func(*T) *V, k kind[V]) field[T] {
	f := key(name, at, k)
	f.optional = true
	return f
}

func object[T any](fields ...field[T]) kind[T] {
	return kind[T]{
		read: func(s *scanner, v *T) error {
			next, found := 0, 0 // keys are mostly in our order, so the search begins after the last one
			err := s.object(func(name []byte) error {
				for range fields {
					i := next
					if next++; next == len(fields) {
						next = 0
					}
					if f := &fields[i]; f.name == string(name) {
						found |= 1 << i
						return f.read(s, v)
					}
				}
				return s.skip()
			})
			if err != nil {
				return err
			}
			for i := range fields {
				if f := &fields[i]; f.needed && found>>i&1 == 0 {
					return &syntaxError{pos: s.pos, text: "not a block reward: " + strconv.Quote(f.name) + " is missing"}
				}
			}
			return nil
		},
		write: func(dst []byte, v *T) []byte {
			open := byte('{')
			for i := range fields {
				f := &fields[i]
				if f.optional && f.empty(v) {
					continue
				}
				dst = append(append(append(dst, open, '"'), f.name...), '"', ':')
				dst = f.write(dst, v)
				open = ','
			}
			return append(dst, '}')
		},
	}
}

// list is a JSON array. It reads null as an empty array.
func list[E any](elem kind[E]) kind[[]E] {
	return kind[[]E]{
		read: func(s *scanner, v *[]E) error {
			*v = (*v)[:0]
			if s.null() {
				return nil
			}
			return s.array(func() error {
				*v = append(*v, *new(E))
				return elem.read(s, &(*v)[len(*v)-1])
			})
		},
		write: func(dst []byte, v *[]E) []byte {
			dst = append(dst, '[')
			for i := range *v {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = elem.write(dst, &(*v)[i])
			}
			return append(dst, ']')
		},
		empty: func(v *[]E) bool { return len(*v) == 0 },
	}
}

// pointer is a value that may be null.
func pointer[V any](k kind[V]) kind[*V] {
	return kind[*V]{
		read: func(s *scanner, v **V) error {
			if s.null() {
				return nil
			}
			*v = new(V)
			return k.read(s, *v)
		},
		write: func(dst []byte, v **V) []byte { return k.write(dst, *v) },
		empty: func(v **V) bool { return *v == nil },
	}
}

// number is an unsigned integer that is read with or without quotes, and written without.
var number = kind[uint64]{
	read:  func(s *scanner, v *uint64) (err error) { *v, err = s.number(); return err },
	write: func(dst []byte, v *uint64) []byte { return strconv.AppendUint(dst, *v, 10) },
}

// quoted is like number, but written with quotes.
func quoted[N ~uint64]() kind[N] {
	return kind[N]{
		read: func(s *scanner, v *N) error {
			n, err := s.number()
			*v = N(n)
			return err
		},
		write: func(dst []byte, v *N) []byte {
			return append(strconv.AppendUint(append(dst, '"'), uint64(*v), 10), '"')
		},
	}
}

var root = kind[blockprint.Root]{
	read: func(s *scanner, v *blockprint.Root) (err error) { *v, err = s.root(); return err },
	write: func(dst []byte, v *blockprint.Root) []byte {
		return append(append(append(dst, '"'), v.String()...), '"')
	},
	empty: func(v *blockprint.Root) bool { return v.IsZero() },
}

var text = kind[string]{
	read: func(s *scanner, v *string) (err error) { *v, err = s.text(); return err },
	write: func(dst []byte, v *string) []byte {
		t, _ := json.Marshal(*v) // cannot fail for a string
		return append(dst, t...)
	},
	empty: func(v *string) bool { return *v == "" },
}

// forkName is a fork's name, in upper or lower case, or null. Names that this version does not know are kept.
var forkName = kind[string]{
	read: func(s *scanner, v *string) error {
		if s.null() {
			return nil
		}
		raw, err := s.rawString()
		if err == nil {
			raw, err = s.unescape(raw)
		}
		if err != nil {
			return err
		}
		if f, err := blockprint.ParseFork(string(raw)); err == nil {
			*v = f.String() // the usual case, without a copy
		} else {
			*v = strings.ToLower(string(raw))
		}
		return nil
	},
	write: text.write,
	empty: text.empty,
}

var boolean = kind[bool]{
	read:  func(s *scanner, v *bool) error { *v = s.peek() == 't'; return s.skip() },
	write: func(dst []byte, v *bool) []byte { return strconv.AppendBool(dst, *v) },
	empty: func(v *bool) bool { return !*v },
}
