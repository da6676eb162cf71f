package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"blockprint"
)

// names caches the tables that give numbers to clients, models and feature sets. They only grow, so what is cached never
// becomes wrong; only what is committed is cached. No query is made while mu is held: a lock that waits for a connection,
// while those who hold all connections wait for the lock, would never be released.
type names struct {
	mu    sync.RWMutex
	ids   map[string]map[string]int64 // table -> name -> id
	texts map[string]map[int64]string
}

// nameTables are the tables of names, each with its column.
var nameTables = map[string]string{"clients": "name", "models": "name", "feature_sets": "names"}

func newNames() *names {
	n := &names{ids: map[string]map[string]int64{}, texts: map[string]map[int64]string{}}
	for table := range nameTables {
		n.ids[table], n.texts[table] = map[string]int64{}, map[int64]string{}
	}
	return n
}

func (n *names) id(table, name string) (id int64, ok bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	id, ok = n.ids[table][name]
	return id, ok
}

func (n *names) text(table string, id int64) (text string, ok bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	text, ok = n.texts[table][id]
	return text, ok
}

func (n *names) add(table string, rows map[string]int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, id := range rows {
		n.ids[table][name], n.texts[table][id] = id, name
	}
}

// loadNames reads a table of names. It has a connection of its own kind (see Store.cheap), since its callers may hold
// one of the readers' connections.
func (s *Store) loadNames(ctx context.Context, table string) (err error) {
	rows, err := s.cheap.QueryContext(ctx, "SELECT id, "+nameTables[table]+" FROM "+table)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	found := map[string]int64{}
	for rows.Next() {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		found[name] = id
	}
	s.names.add(table, found)
	return rows.Err()
}

// textOf returns the name of a number.
func (s *Store) textOf(ctx context.Context, table string, id int64) (string, error) {
	if text, ok := s.names.text(table, id); ok {
		return text, nil
	}
	if err := s.loadNames(ctx, table); err != nil { // another process has added it
		return "", err
	}
	text, ok := s.names.text(table, id)
	if !ok {
		return "", fmt.Errorf("%w: number %d is not in the table %s", errDamaged, id, table)
	}
	return text, nil
}

func (s *Store) client(ctx context.Context, id int64) (blockprint.Client, error) {
	text, err := s.textOf(ctx, "clients", id)
	return blockprint.Client(text), err
}

// errDamaged is the cause of errors about rows that cannot be read.
var errDamaged = errors.New("damaged")

// transaction is a write transaction with the names that it has added, which are cached once it is committed.
type transaction struct {
	*sql.Tx
	s    *Store
	made map[string]map[string]int64
}

// idOf returns the number of a name, giving it one if it is new.
func (tx *transaction) idOf(ctx context.Context, table, name string) (int64, error) {
	if id, ok := tx.s.names.id(table, name); ok {
		return id, nil
	}
	if id, ok := tx.made[table][name]; ok {
		return id, nil
	}
	column := nameTables[table]
	var id int64
	err := tx.QueryRowContext(ctx, "SELECT id FROM "+table+" WHERE "+column+" = ?", name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, "INSERT INTO "+table+" ("+column+") VALUES (?) RETURNING id", name).Scan(&id)
	}
	if err != nil {
		return 0, err
	}
	if tx.made[table] == nil {
		tx.made[table] = map[string]int64{}
	}
	tx.made[table][name] = id
	return id, nil
}

// featureSet returns the number of a list of feature names.
func (tx *transaction) featureSet(ctx context.Context, features []string) (int64, error) {
	text, err := json.Marshal(features)
	if err != nil {
		return 0, err
	}
	return tx.idOf(ctx, "feature_sets", string(text))
}
