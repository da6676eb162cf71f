-- +goose Up

-- Nodes whose client is known, that dream blocks.
CREATE TABLE gauge_nodes (
    id    INTEGER PRIMARY KEY,
    name  TEXT NOT NULL,
    label INTEGER NOT NULL REFERENCES clients,
    UNIQUE (name, label)
);

-- What the block that a node dreamt in a slot was labelled. Kept for some weeks; the sums below stay.
CREATE TABLE gauge_observations (
    slot  INTEGER NOT NULL,
    node  INTEGER NOT NULL REFERENCES gauge_nodes,
    guess INTEGER NOT NULL REFERENCES clients,
    model INTEGER NOT NULL REFERENCES models,
    PRIMARY KEY (slot, node)
) WITHOUT ROWID;

-- The same summed over runs of 256 slots (part p spans the slots p*256 to p*256+255), and over days (UTC).
CREATE TABLE gauge_counts (
    part   INTEGER NOT NULL,
    node   INTEGER NOT NULL,
    model  INTEGER NOT NULL,
    guess  INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    latest INTEGER NOT NULL, -- slot
    PRIMARY KEY (part, node, model, guess)
) WITHOUT ROWID;
CREATE TABLE gauge_days (
    day    TEXT NOT NULL, -- YYYY-MM-DD
    node   INTEGER NOT NULL,
    model  INTEGER NOT NULL,
    guess  INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    PRIMARY KEY (day, node, model, guess)
) WITHOUT ROWID;

-- Second opinions: how far canonical blocks are from those that nodes dreamt in their slots.
CREATE TABLE verdicts (
    slot    INTEGER NOT NULL,
    root    BLOB NOT NULL,
    likely  INTEGER REFERENCES clients, -- NULL if it is too close to call
    details TEXT NOT NULL,              -- JSON: the distances
    PRIMARY KEY (slot, root)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE verdicts;
DROP TABLE gauge_days;
DROP TABLE gauge_counts;
DROP TABLE gauge_observations;
DROP TABLE gauge_nodes;
