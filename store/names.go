package store

import "sync"

// Names caches a backend's tables of names: clients, models and feature sets, which blocks refer to by number. The tables
// only grow, so what is cached never becomes wrong; only what is committed may be cached. A backend makes no query while
// it holds a lock: a lock that waits for a connection, while those who hold all connections wait for the lock, would never
// be released.
type Names struct {
	mu    sync.RWMutex
	ids   map[nameKey]int64
	texts map[idKey]string
}

type nameKey struct{ table, name string }

type idKey struct {
	table string
	id    int64
}

// ID returns the number of a name.
func (n *Names) ID(table, name string) (id int64, ok bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	id, ok = n.ids[nameKey{table, name}]
	return id, ok
}

// Text returns the name of a number.
func (n *Names) Text(table string, id int64) (text string, ok bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	text, ok = n.texts[idKey{table, id}]
	return text, ok
}

// Add caches a name.
func (n *Names) Add(table, name string, id int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ids == nil {
		n.ids, n.texts = map[nameKey]int64{}, map[idKey]string{}
	}
	n.ids[nameKey{table, name}], n.texts[idKey{table, id}] = id, name
}
