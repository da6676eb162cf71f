package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"blockprint"
	"blockprint/store"
)

// nameTables are the tables of names, each with its column.
var nameTables = map[string]string{"clients": "name", "models": "name", "feature_sets": "names"}

type nameKey struct{ table, name string }

// loadNames reads a table of names. It has a connection of its own kind (see Store.cheap), since its callers may hold
// one of the readers' connections.
func (s *Store) loadNames(ctx context.Context, table string) error {
	return eachRow(ctx, s.cheap, "SELECT id, "+nameTables[table]+" FROM "+table, nil, func(rows *sql.Rows) error {
		var id int64
		var name string
		err := rows.Scan(&id, &name)
		if err == nil {
			s.names.Add(table, name, id)
		}
		return err
	})
}

// textOf returns the name of a number.
func (s *Store) textOf(ctx context.Context, table string, id int64) (string, error) {
	if text, ok := s.names.Text(table, id); ok {
		return text, nil
	}
	if err := s.loadNames(ctx, table); err != nil { // another process has added it
		return "", err
	}
	text, ok := s.names.Text(table, id)
	if !ok {
		return "", fmt.Errorf("%w: number %d is not in the table %s", store.ErrDamaged, id, table)
	}
	return text, nil
}

func (s *Store) client(ctx context.Context, id int64) (blockprint.Client, error) {
	text, err := s.textOf(ctx, "clients", id)
	return blockprint.Client(text), err
}

// names are the numbers of a row's names.
type names struct {
	single, model int64
	graffiti      sql.NullInt64
}

// named looks up a row's names.
func (s *Store) named(ctx context.Context, n names, single *blockprint.Client, model *string, graffiti *blockprint.Client) (err error) {
	if *single, err = s.client(ctx, n.single); err != nil {
		return err
	}
	if n.graffiti.Valid {
		if *graffiti, err = s.client(ctx, n.graffiti.Int64); err != nil {
			return err
		}
	}
	*model, err = s.textOf(ctx, "models", n.model)
	return err
}

// featureNames returns the names of a feature set, always the same list for one set.
func (s *Store) featureNames(ctx context.Context, set int64) (names []string, err error) {
	if known, ok := s.featureSets.Load(set); ok {
		return known.([]string), nil
	}
	text, err := s.textOf(ctx, "feature_sets", set)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, err
	}
	known, _ := s.featureSets.LoadOrStore(set, names)
	return known.([]string), nil
}

// idOf returns the number of a name, giving it one if it is new.
func (tx *transaction) idOf(ctx context.Context, table, name string) (int64, error) {
	if id, ok := tx.s.names.ID(table, name); ok {
		return id, nil
	}
	key := nameKey{table, name}
	if id, ok := tx.made[key]; ok {
		return id, nil
	}
	column := nameTables[table]
	var id int64
	err := tx.QueryRowContext(ctx, "SELECT id FROM "+table+" WHERE "+column+" = ?", name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, "INSERT INTO "+table+" ("+column+") VALUES (?) RETURNING id", name).Scan(&id)
	}
	if err == nil {
		tx.made[key] = id
	}
	return id, err
}
