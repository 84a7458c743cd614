-- The queries for the newest visits order by visited_at and id. InnoDB adds the
-- primary key to each index, so visits_visited_at serves them there. TiDB does not,
-- and would read the whole index. So the new index names the id.
--
-- The old index stays, because replicas of the release before name it in their
-- queries while they are replaced. A later release drops it.
--
-- A crash may happen between this DDL and goose's record of it, and not every
-- server has IF NOT EXISTS for an index.

-- +goose NO TRANSACTION
-- +goose Up
SET @create_index = IF(
  (SELECT COUNT(*) FROM information_schema.statistics
   WHERE table_schema = DATABASE() AND table_name = 'visits' AND index_name = 'visits_visited_at_id') = 0,
  'CREATE INDEX visits_visited_at_id ON visits (visited_at, id)',
  'SELECT 1'
);
PREPARE create_index FROM @create_index;
EXECUTE create_index;
DEALLOCATE PREPARE create_index;

-- +goose Down
DROP INDEX visits_visited_at_id ON visits;
