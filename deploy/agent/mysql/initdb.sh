#!/usr/bin/env bash
# Runs datadog.sql in the MySQL image. The image runs the scripts in
# /docker-entrypoint-initdb.d after it has created the database.
set -euo pipefail
secrets=${SECRETS:-/run/secrets}

# Passwords in the environment and on standard input are in no process list.
MYSQL_PWD=$(< "$secrets/mysql_root_password")
export MYSQL_PWD
{
    cat <<SQL
UPDATE performance_schema.threads SET instrumented = 'NO', history = 'NO'
  WHERE processlist_id = CONNECTION_ID();
SET @datadog_password = '$(< "$secrets/mysql_datadog_password")';
SQL
    cat "${DATADOG_SQL:-/etc/datadog/datadog.sql}"
} | mysql --user=root
