-- +goose Up

-- A block whose slot and proposer an original database has named is one block, whichever came first. Earlier versions kept
-- both when the original database was imported last, and counted the block twice. Placeholders have 24 zero bytes.
CREATE TABLE doubled AS
    SELECT slot, root, proposer, single, canonical FROM blocks AS p
    WHERE EXISTS (SELECT 1 FROM models WHERE name = 'imported') AND substr(root, 1, 24) = zeroblob(24)
        AND EXISTS (SELECT 1 FROM blocks AS b WHERE b.slot = p.slot AND +b.proposer = p.proposer AND substr(b.root, 1, 24) <> zeroblob(24));

INSERT INTO counts (level, part, single, blocks)
    SELECT l.column1, (d.slot / coalesce((SELECT json_extract(value, '$.SlotsPerEpoch') FROM meta WHERE key = 'identity'), 32)) >> (4 * l.column1) AS part, d.single, -count(*)
    FROM doubled AS d, (VALUES (0), (1), (2), (3), (4), (5)) AS l WHERE d.canonical <> 1 GROUP BY 1, 2, 3
    ON CONFLICT (level, part, single) DO UPDATE SET blocks = blocks + excluded.blocks;

DELETE FROM blocks WHERE (slot, root) IN (SELECT slot, root FROM doubled);
DELETE FROM features WHERE (slot, root) IN (SELECT slot, root FROM doubled);
DELETE FROM latest WHERE proposer IN (SELECT proposer FROM doubled);
INSERT INTO latest (proposer, slot, single)
    SELECT proposer, max(slot), single FROM blocks WHERE canonical <> 1 AND proposer IN (SELECT proposer FROM doubled) GROUP BY proposer;
DROP TABLE doubled;

-- +goose Down
SELECT 1;
