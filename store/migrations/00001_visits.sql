-- A visit is one call of /api/trace. Times are UTC, set by the service.
--
-- The newest visits are read through visits_visited_at, which InnoDB extends
-- with the primary key; ordering by id alone would be wrong on databases whose
-- AUTO_INCREMENT is not monotonic across nodes (TiDB).
--
-- DDL commits by itself, so a crash may come between the statement and goose's
-- note of it: IF NOT EXISTS lets the migration run again.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS visits (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  route      VARCHAR(255)    NOT NULL,
  trace_id   CHAR(32)        NOT NULL,
  visited_at DATETIME(6)     NOT NULL,
  KEY visits_visited_at (visited_at)
);

-- +goose Down
DROP TABLE IF EXISTS visits;
