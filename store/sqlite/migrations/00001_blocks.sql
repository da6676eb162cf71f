-- +goose Up

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Names that blocks refer to by number, so that a new client or model needs no migration.
CREATE TABLE clients (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE models (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE feature_sets (
    id    INTEGER PRIMARY KEY,
    names TEXT NOT NULL UNIQUE -- JSON list, in the order of the vectors
);

-- A random 32-byte key is the worst case for a B-tree, so blocks lie in order of slot.
CREATE TABLE blocks (
    slot            INTEGER NOT NULL,
    root            BLOB NOT NULL,
    parent_slot     INTEGER NOT NULL,
    parent_root     BLOB,             -- NULL if unknown
    proposer        INTEGER NOT NULL,
    canonical       INTEGER NOT NULL, -- 0 undecided, 1 orphaned, 2 final
    single          INTEGER NOT NULL REFERENCES clients,
    multi           TEXT NOT NULL,
    probabilities   BLOB NOT NULL,    -- (client as uvarint, float64 little-endian) for each that is not 0
    graffiti        TEXT NOT NULL,
    graffiti_client INTEGER REFERENCES clients,
    execution       TEXT NOT NULL,
    version         TEXT NOT NULL,
    reason          TEXT NOT NULL,
    model           INTEGER NOT NULL REFERENCES models,
    PRIMARY KEY (slot, root)
) WITHOUT ROWID;
CREATE INDEX blocks_undecided ON blocks (slot) WHERE canonical = 0;
CREATE INDEX blocks_by_proposer ON blocks (proposer, slot);

-- Apart from blocks, so that scans over labels stay short.
CREATE TABLE features (
    slot        INTEGER NOT NULL,
    root        BLOB NOT NULL,
    feature_set INTEGER NOT NULL REFERENCES feature_sets,
    vector      BLOB NOT NULL, -- float64 little-endian
    PRIMARY KEY (slot, root)
) WITHOUT ROWID;

-- The newest block of each validator that is not orphaned.
CREATE TABLE latest (
    proposer INTEGER PRIMARY KEY,
    slot     INTEGER NOT NULL,
    single   INTEGER NOT NULL
);

-- Covered slots: disjoint intervals that never touch, both ends included.
CREATE TABLE coverage (
    first INTEGER PRIMARY KEY,
    last  INTEGER NOT NULL
);

-- Blocks that are not orphaned, by label, summed over 16^level epochs: part p of level l spans the epochs
-- p*16^l to (p+1)*16^l-1. Any range of epochs is a few parts of each level.
CREATE TABLE counts (
    level  INTEGER NOT NULL,
    part   INTEGER NOT NULL,
    single INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    PRIMARY KEY (level, part, single)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE counts;
DROP TABLE coverage;
DROP TABLE latest;
DROP TABLE features;
DROP TABLE blocks;
DROP TABLE feature_sets;
DROP TABLE models;
DROP TABLE clients;
DROP TABLE meta;
