/** What migrations do, to Pagila's own objects and to new ones; each tool runs it as it stands. */
export const EVERY_KIND = `
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TABLE review (id serial PRIMARY KEY, film_id int NOT NULL REFERENCES film, author citext NOT NULL, token uuid DEFAULT gen_random_uuid());
INSERT INTO review (film_id, author) VALUES (1, 'Ann');
ALTER TABLE film ADD COLUMN studio text NOT NULL DEFAULT 'unknown';
ALTER TABLE address ALTER COLUMN district TYPE varchar(300);
ALTER TABLE customer RENAME COLUMN activebool TO is_active;
ALTER TABLE staff DROP COLUMN picture;
ALTER TABLE rental ADD CONSTRAINT returned_later CHECK (return_date IS NULL OR return_date >= rental_date) NOT VALID;
ALTER TYPE mpaa_rating ADD VALUE IF NOT EXISTS 'X';
CREATE OR REPLACE FUNCTION inventory_held_by_customer(p_inventory_id integer) RETURNS integer LANGUAGE sql AS 'SELECT -1';
CREATE TRIGGER last_updated BEFORE UPDATE ON review FOR EACH ROW EXECUTE FUNCTION last_updated();
DROP VIEW staff_list;
TRUNCATE payment;
COMMENT ON TABLE film IS 'migrated';
`

/** May not be in a transaction. */
export const CONCURRENTLY = 'CREATE INDEX CONCURRENTLY film_by_studio ON film (studio)'

/** One row that is true in every column once all of it is done. */
export const IS_DONE = `
  SELECT (SELECT count(*) FROM review) = 1 AS made,
    (SELECT count(*) FROM film WHERE studio = 'unknown') = 1000 AS altered,
    (SELECT count(*) FROM payment) = 0 AS truncated,
    to_regclass('staff_list') IS NULL AS dropped,
    'X' = ANY (enum_range(NULL::mpaa_rating)::text[]) AS enlarged,
    inventory_held_by_customer(1) = -1 AS replaced,
    (SELECT count(*) FROM pg_extension WHERE extname IN ('pgcrypto', 'citext')) = 2 AS extended,
    EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('film_by_studio') AND indisvalid) AS indexed`
