"""What is asked of the server's catalog about the tables of a race, and about who is changing them."""

from typing import LiteralString

TABLES: LiteralString = """
SELECT c.oid::int, n.nspname, c.relname,
       array(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
              ORDER BY a.attnum),
       array(SELECT a.attname::text FROM pg_attribute a
               LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (c.oid, a.attnum)
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) ~ '^nextval\\(')
              ORDER BY a.attnum),
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('simh', 'pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
 ORDER BY 2, 3
"""

SEQUENCES: LiteralString = """
SELECT n.nspname, c.relname, c.oid::int FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'S' AND n.nspname NOT IN ('simh', 'pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
 ORDER BY 1, 2
"""

HIDING: LiteralString = """
WITH own AS (
  SELECT n.oid FROM pg_namespace n
   WHERE n.nspname NOT IN ('simh', 'simclock', 'pg_catalog', 'information_schema') AND n.nspname !~ '^pg_')
SELECT EXISTS (SELECT FROM pg_proc p JOIN own ON own.oid = p.pronamespace)
    OR EXISTS (SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN own ON own.oid = c.relnamespace
                WHERE NOT t.tgisinternal)
    OR EXISTS (SELECT FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN own ON own.oid = c.relnamespace
                WHERE c.relkind <> 'v')
    OR EXISTS (SELECT FROM pg_class c JOIN own ON own.oid = c.relnamespace
                WHERE c.relkind IN ('p', 'f') OR c.relhassubclass)
"""
"""Whether a statement on the tables may do more than it says: functions, triggers, rules, tables made of tables."""

SHAPE: LiteralString = """
WITH own AS (
  SELECT n.oid FROM pg_namespace n WHERE n.nspname NOT IN ('simh', 'pg_catalog', 'information_schema')
     AND n.nspname !~ '^pg_'), class AS (
  SELECT c.oid, c.relname, c.relkind FROM pg_class c JOIN own ON own.oid = c.relnamespace)
SELECT md5(string_agg(line, E'\n' ORDER BY line)) FROM (
  SELECT format('%s %s', relkind, relname) AS line FROM class
  UNION ALL SELECT format('%s %s %s %s %s', class.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                          a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
    FROM class JOIN pg_attribute a ON a.attrelid = class.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
  UNION ALL SELECT format('%s %s', k.conname, pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN own ON own.oid = k.connamespace
  UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN class ON class.oid = i.indrelid
  UNION ALL SELECT pg_get_triggerdef(t.oid)
    FROM pg_trigger t JOIN class ON class.oid = t.tgrelid AND NOT t.tgisinternal
  UNION ALL SELECT pg_get_functiondef(p.oid)
    FROM pg_proc p JOIN own ON own.oid = p.pronamespace AND p.prokind IN ('f', 'p')
  UNION ALL SELECT format('type %s', y.typname) FROM pg_type y JOIN own ON own.oid = y.typnamespace
) AS lines
"""
"""All that a race could change of the schema, as one digest."""

DEFERRABLE: LiteralString = "SELECT EXISTS (SELECT FROM pg_constraint WHERE condeferrable)"
"""Whether a COMMIT may find a constraint broken that was not looked at before."""

CLOSED: LiteralString = """
SELECT DISTINCT l.relation::int FROM pg_locks l
 WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""The relations that nobody can read until somebody who holds, or waits for, them alone has ended."""
