package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"blockprint"
)

// names caches the tables that give numbers to clients, models and feature sets. They only grow.
type names struct {
	ids   map[string]map[string]int64 // table -> name -> id
	texts map[string]map[int64]string
}

func newNames() names {
	return names{ids: map[string]map[string]int64{}, texts: map[string]map[int64]string{}}
}

func (s *Store) forgetNames() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = newNames()
}

// column is the name's column in each table.
var column = map[string]string{"clients": "name", "models": "name", "feature_sets": "names"}

// idOf returns the number of a name, giving it one if it is new. q must be a write transaction.
func (s *Store) idOf(ctx context.Context, q queryer, table, name string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.names.ids[table][name]; ok {
		return id, nil
	}
	col := column[table]
	var id int64
	err := q.QueryRowContext(ctx, "SELECT id FROM "+table+" WHERE "+col+" = ?", name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = q.QueryRowContext(ctx, "INSERT INTO "+table+" ("+col+") VALUES (?) RETURNING id", name).Scan(&id)
	}
	if err != nil {
		return 0, err
	}
	s.remember(table, name, id)
	return id, nil
}

// textOf returns the name of a number.
func (s *Store) textOf(ctx context.Context, q queryer, table string, id int64) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text, ok := s.names.texts[table][id]; ok {
		return text, nil
	}
	var text string
	if err := q.QueryRowContext(ctx, "SELECT "+column[table]+" FROM "+table+" WHERE id = ?", id).Scan(&text); err != nil {
		return "", err
	}
	s.remember(table, text, id)
	return text, nil
}

func (s *Store) remember(table, name string, id int64) {
	if s.names.ids[table] == nil {
		s.names.ids[table], s.names.texts[table] = map[string]int64{}, map[int64]string{}
	}
	s.names.ids[table][name] = id
	s.names.texts[table][id] = name
}

func (s *Store) client(ctx context.Context, q queryer, id int64) (blockprint.Client, error) {
	text, err := s.textOf(ctx, q, "clients", id)
	return blockprint.Client(text), err
}

// featureSet returns the number of a list of feature names.
func (s *Store) featureSet(ctx context.Context, q queryer, features []string) (int64, error) {
	text, err := json.Marshal(features)
	if err != nil {
		return 0, err
	}
	return s.idOf(ctx, q, "feature_sets", string(text))
}
