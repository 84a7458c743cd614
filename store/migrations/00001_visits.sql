-- A visit is one call of /api/trace. Times are UTC, set by the service.
--
-- Queries for the newest visits use the index visits_visited_at. InnoDB adds the
-- primary key to it. Ordering by id alone would be wrong on databases whose
-- AUTO_INCREMENT does not grow monotonically across nodes (TiDB).
--
-- DDL commits at once, so a crash may happen before goose records the migration.
-- IF NOT EXISTS lets the migration run again.

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
