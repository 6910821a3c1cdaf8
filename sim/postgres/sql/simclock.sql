-- Virtual time. It is a pure function of real time, told by the latest move whose moment has come; without a move it is
-- real time. With this schema ahead of pg_catalog in search_path, now() and its kin resolve to the functions below.
CREATE SCHEMA simclock;

CREATE TABLE simclock.moves (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    real_at    timestamptz NOT NULL,
    virtual_at timestamptz NOT NULL,
    running    boolean NOT NULL,
    CONSTRAINT moves_running_from_a_moment_check CHECK (NOT running OR isfinite(real_at))
);
CREATE INDEX moves_real_at_idx ON simclock.moves (real_at DESC, id DESC);

CREATE FUNCTION simclock.at(real_moment timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    move record;
BEGIN
    SELECT m.virtual_at, m.real_at, m.running INTO move
      FROM simclock.moves AS m
     WHERE m.real_at OPERATOR(pg_catalog.<=) real_moment
     ORDER BY m.real_at DESC, m.id DESC
     LIMIT 1;
    IF NOT FOUND THEN
        RETURN real_moment;
    ELSIF move.running THEN
        RETURN move.virtual_at OPERATOR(pg_catalog.+) (real_moment OPERATOR(pg_catalog.-) move.real_at);
    ELSE
        RETURN move.virtual_at;
    END IF;
END
$$;

CREATE FUNCTION simclock.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT simclock.at(pg_catalog.transaction_timestamp()) $$;
CREATE FUNCTION simclock.transaction_timestamp() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT simclock.at(pg_catalog.transaction_timestamp()) $$;
CREATE FUNCTION simclock.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT simclock.at(pg_catalog.statement_timestamp()) $$;
CREATE FUNCTION simclock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
    AS $$ SELECT simclock.at(pg_catalog.clock_timestamp()) $$;
