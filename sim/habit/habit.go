// Package habit gives a simulated node the habits of real ones: what clients and proxies do that the Beacon API does not
// require, or forbids. Tests wrap a world's handler with Play.
package habit

import (
	"bytes"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"

	"blockprint"
)

// Habit changes how a node answers.
type Habit func(node http.Handler) http.Handler

// Regular expressions for the paths that tests most often give habits to.
const (
	Blocks     = `^/eth/v2/beacon/blocks/`
	Headers    = `^/eth/v1/beacon/headers/`
	BySlot     = `^/eth/v\d/beacon/(blocks|headers)/\d+$`
	States     = `/beacon/states/`
	StateRoots = `/beacon/states/0x`
	OldStates  = `/beacon/states/(0x|\d)` // by root or slot, not by a word such as head
	Registry   = `/validators$`
)

// Play returns the node with the habits, the first of which sees a request first.
func Play(node http.Handler, habits ...Habit) http.Handler {
	for i := len(habits) - 1; i >= 0; i-- {
		node = habits[i](node)
	}
	return node
}

// On restricts a habit to paths that match a regular expression. Queries do not count.
func On(pattern string, h Habit) Habit {
	re := regexp.MustCompile(pattern)
	return func(node http.Handler) http.Handler {
		with := h(node)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if re.MatchString(r.URL.Path) {
				with.ServeHTTP(w, r)
				return
			}
			node.ServeHTTP(w, r)
		})
	}
}

// While restricts a habit to the time while on is true.
func While(on *atomic.Bool, h Habit) Habit {
	return func(node http.Handler) http.Handler {
		with := h(node)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if on.Load() {
				with.ServeHTTP(w, r)
				return
			}
			node.ServeHTTP(w, r)
		})
	}
}

// Count counts requests.
func Count(n *atomic.Int64) Habit {
	return func(node http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			node.ServeHTTP(w, r)
		})
	}
}

// Refuse answers every request with an error status.
func Refuse(status int) Habit {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, status) })
	}
}

func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"code":` + strconv.Itoa(status) + `,"message":"refused"}`)) // the client is gone
}

// Missing answers with another status instead of 404.
func Missing(status int) Habit {
	return Answer(func(a *httptest.ResponseRecorder, _ *http.Request) {
		if a.Code == http.StatusNotFound {
			a.Code = status
		}
	})
}

// Instead lets another node answer, for example one of another network.
func Instead(other http.Handler) Habit { return func(http.Handler) http.Handler { return other } }

// Ask changes a request before the node sees it.
func Ask(change func(r *http.Request)) Habit {
	return func(node http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			change(r)
			node.ServeHTTP(w, r)
		})
	}
}

// Answer changes an answer before it is sent. It does not work for event streams.
func Answer(change func(a *httptest.ResponseRecorder, r *http.Request)) Habit {
	return func(node http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := httptest.NewRecorder()
			node.ServeHTTP(a, r)
			change(a, r)
			maps.Copy(w.Header(), a.Header())
			w.WriteHeader(a.Code)
			_, _ = w.Write(a.Body.Bytes()) // the client is gone
		})
	}
}

// Rewrite replaces the matches of a regular expression in JSON answers.
func Rewrite(pattern, replacement string) Habit {
	re := regexp.MustCompile(pattern)
	return Answer(func(a *httptest.ResponseRecorder, _ *http.Request) {
		if a.Code == http.StatusOK && strings.Contains(a.Header().Get("Content-Type"), "json") {
			a.Body = bytes.NewBuffer(re.ReplaceAll(a.Body.Bytes(), []byte(replacement)))
		}
	})
}

// SinceSlot makes the node one that started from a checkpoint and lacks older blocks and headers.
func SinceSlot(slot blockprint.Slot) Habit {
	return On(Blocks+"|"+Headers, func(node http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header := r.Clone(r.Context())
			id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
			header.URL.Path = "/eth/v1/beacon/headers/" + id
			if got, ok := slotOf(node, header); ok && got < slot {
				refuse(w, http.StatusNotFound)
				return
			}
			node.ServeHTTP(w, r)
		})
	})
}

var slotField = regexp.MustCompile(`"slot":"(\d+)"`)

// slotOf returns the slot of a node's header.
func slotOf(node http.Handler, r *http.Request) (blockprint.Slot, bool) {
	a := httptest.NewRecorder()
	node.ServeHTTP(a, r)
	m := slotField.FindSubmatch(a.Body.Bytes())
	if a.Code != http.StatusOK || m == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(string(m[1]), 10, 64)
	return blockprint.Slot(n), err == nil
}

// BlockBefore answers requests for an empty slot with the block before it.
func BlockBefore() Habit {
	return On(BySlot, func(node http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			at := strings.LastIndexByte(r.URL.Path, '/') + 1
			slot, _ := strconv.ParseUint(r.URL.Path[at:], 10, 64) // BySlot matches digits
			for ; ; slot-- {
				try := r.Clone(r.Context())
				try.URL.Path = r.URL.Path[:at] + strconv.FormatUint(slot, 10)
				a := httptest.NewRecorder()
				node.ServeHTTP(a, try)
				if a.Code == http.StatusOK || slot == 0 {
					node.ServeHTTP(w, try)
					return
				}
			}
		})
	})
}

// Orphans answers requests for these slots with these blocks instead of the canonical ones.
func Orphans(roots map[blockprint.Slot]blockprint.Root) Habit {
	return On(BySlot, Ask(func(r *http.Request) {
		at := strings.LastIndexByte(r.URL.Path, '/') + 1
		slot, _ := strconv.ParseUint(r.URL.Path[at:], 10, 64) // BySlot matches digits
		if root, ok := roots[blockprint.Slot(slot)]; ok {
			r.URL.Path = r.URL.Path[:at] + root.String()
		}
	}))
}
