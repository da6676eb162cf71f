-- +goose Up

-- Changes that are to be told, written with what made them; and up to which of them each receiver has been told.
CREATE TABLE notices (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    notice TEXT NOT NULL -- JSON
);
CREATE INDEX notices_by_tenant ON notices (tenant, id);
CREATE TABLE deliveries (
    tenant   TEXT NOT NULL,
    receiver TEXT NOT NULL,
    told     INTEGER NOT NULL, -- id of the last notice
    PRIMARY KEY (tenant, receiver)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE deliveries;
DROP TABLE notices;
