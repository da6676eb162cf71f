-- +goose Up

-- What the state of a greylist follows from, in order. A reorganisation takes events away at the end.
CREATE TABLE events (
    tenant TEXT NOT NULL,
    place  INTEGER NOT NULL, -- from 0, without holes
    event  TEXT NOT NULL,    -- JSON
    PRIMARY KEY (tenant, place)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE events;
