-- +goose Up

-- Every try to tell a receiver of a notice.
CREATE TABLE delivery_log (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant   TEXT NOT NULL,
    receiver TEXT NOT NULL,
    notice   INTEGER NOT NULL, -- id
    at       INTEGER NOT NULL, -- seconds since 1970
    error    TEXT NOT NULL     -- empty if it was told
);
CREATE INDEX delivery_log_by_tenant ON delivery_log (tenant, id);

-- +goose Down
DROP TABLE delivery_log;
