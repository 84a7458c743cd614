-- Creates the Agent's user in MySQL (8.0.29 to 9.x) or MariaDB (10.6 and newer), with
-- only the rights that Database Monitoring needs. Run it as an administrator with the
-- mysql or mariadb client. It can run again.
--
-- Set the user's password in @datadog_password on standard input. So it is in no file
-- and no process list:
--
--   { cat <<SQL; cat datadog.sql; } | mysql
--   UPDATE performance_schema.threads SET instrumented = 'NO', history = 'NO'
--     WHERE processlist_id = CONNECTION_ID();
--   SET @datadog_password = '$(cat password)';
--   SQL
--
-- The UPDATE keeps these statements out of the statement history, which the Agent
-- reads. Without @datadog_password an existing user keeps its password.

CREATE DATABASE IF NOT EXISTS apmapp;
CREATE DATABASE IF NOT EXISTS datadog;

DROP PROCEDURE IF EXISTS datadog.set_up;
DELIMITER $$
CREATE PROCEDURE datadog.set_up(IN password TEXT)
SQL SECURITY INVOKER
BEGIN
  DECLARE found INT DEFAULT (SELECT COUNT(*) FROM mysql.user WHERE user = 'datadog' AND host = '%');
  IF NOT found AND COALESCE(password, '') = '' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'datadog.sql: the user datadog does not exist yet: set @datadog_password first';
  END IF;
  IF COALESCE(password, '') <> '' THEN
    -- Names no plugin, so that the server uses its default: MySQL 9 no longer has
    -- mysql_native_password.
    SET @datadog_statement = CONCAT(IF(found, 'ALTER', 'CREATE'), ' USER datadog@''%'' IDENTIFIED BY ', QUOTE(password));
    PREPARE statement FROM @datadog_statement;
    SET @datadog_statement = NULL;
    EXECUTE statement;
    DEALLOCATE PREPARE statement;
  END IF;
  -- The Agent keeps one connection per task, up to five. Twice as many allow a second
  -- run by hand (datadog-agent check mysql). A check that hangs must not use up the
  -- connections of the service.
  ALTER USER datadog@'%' WITH MAX_USER_CONNECTIONS 10;
  IF VERSION() LIKE '%MariaDB%' THEN
    -- In MariaDB, REPLICATION CLIENT covers only binary logs.
    PREPARE statement FROM 'GRANT SLAVE MONITOR ON *.* TO datadog@''%''';
    EXECUTE statement;
    DEALLOCATE PREPARE statement;
  END IF;
END $$
DELIMITER ;
CALL datadog.set_up(@datadog_password);
SET @datadog_password = NULL;
DROP PROCEDURE datadog.set_up;

GRANT PROCESS, REPLICATION CLIENT ON *.* TO datadog@'%';
GRANT SELECT ON performance_schema.* TO datadog@'%';
GRANT SELECT ON mysql.innodb_index_stats TO datadog@'%';

-- The procedures run with the rights of an account that nobody can log in to. With
-- the rights of an administrator they could show any row: the plan of a lookup by
-- primary key contains the values that it found.
CREATE USER IF NOT EXISTS datadog_definer@localhost ACCOUNT LOCK;
GRANT EXECUTE ON datadog.* TO datadog_definer@localhost;
GRANT SELECT, UPDATE ON performance_schema.setup_consumers TO datadog_definer@localhost;
-- EXPLAIN needs the rights of the statement that it explains. It does not run it.
GRANT EXECUTE, SELECT, INSERT, UPDATE, DELETE ON apmapp.* TO datadog_definer@localhost;

DROP PROCEDURE IF EXISTS datadog.explain_statement;
DROP PROCEDURE IF EXISTS datadog.enable_events_statements_consumers;
DROP PROCEDURE IF EXISTS apmapp.explain_statement;
DELIMITER $$
CREATE DEFINER = datadog_definer@localhost PROCEDURE datadog.explain_statement(IN query TEXT)
SQL SECURITY DEFINER
BEGIN
  SET @explain := CONCAT('EXPLAIN FORMAT=json ', query);
  PREPARE stmt FROM @explain;
  EXECUTE stmt;
  DEALLOCATE PREPARE stmt;
END $$
-- The same procedure in the service's database, because the service's statements name
-- their tables without the database.
CREATE DEFINER = datadog_definer@localhost PROCEDURE apmapp.explain_statement(IN query TEXT)
SQL SECURITY DEFINER
BEGIN
  SET @explain := CONCAT('EXPLAIN FORMAT=json ', query);
  PREPARE stmt FROM @explain;
  EXECUTE stmt;
  DEALLOCATE PREPARE stmt;
END $$
CREATE DEFINER = datadog_definer@localhost PROCEDURE datadog.enable_events_statements_consumers()
SQL SECURITY DEFINER
BEGIN
  UPDATE performance_schema.setup_consumers SET enabled = 'YES' WHERE name LIKE 'events_statements_%';
  UPDATE performance_schema.setup_consumers SET enabled = 'YES' WHERE name = 'events_waits_current';
END $$
DELIMITER ;
GRANT EXECUTE ON datadog.* TO datadog@'%';
GRANT EXECUTE ON PROCEDURE apmapp.explain_statement TO datadog@'%';
