/** Raised when the schema below changes; a catalogue of a newer one is refused, an older one migrated. */
export const SCHEMA_VERSION = 6

// Schema 3 brought these two; once they change, migration 2 needs a copy of what they were.
const TOKENS = `
-- All tokens but the first. The secret itself is nowhere: a SHA-256 of it is, which the index finds it by.
CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('admin', 'member', 'viewer')),
  hash TEXT NOT NULL UNIQUE,
  created_at TEXT NOT NULL,
  expires_at TEXT,
  revoked_at TEXT,
  last_used_at TEXT
) STRICT;
`

const IDEMPOTENCY_KEYS = `
CREATE TABLE idempotency_keys (
  -- Each token has its own keys; the first token's id is empty here.
  token_id TEXT NOT NULL,
  key TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  clone_id TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (token_id, key)
) STRICT;
`

// Schema 4 brought this one, and another list of roles to the volumes; the same holds for migration 3.
const RETRIEVAL_RUNS = `
CREATE TABLE retrieval_runs (
  id TEXT PRIMARY KEY,
  started_at TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('RUNNING', 'DONE', 'FAILED', 'CANCELLED')),
  -- All of it as the API answers it, as JSON.
  run TEXT NOT NULL
) STRICT;
`

const volumeColumns = (roles: readonly string[]) => `
  id TEXT PRIMARY KEY,
  role TEXT NOT NULL CHECK (role IN (${roles.map((role) => `'${role}'`).join(', ')})),
  state TEXT NOT NULL CHECK (state IN ('pending', 'live', 'retired')),
  created_at TEXT NOT NULL,
  -- The snapshot that it was cloned from, which can't go before it. Null for an empty one, and where nobody wrote it down.
  origin TEXT,
  -- Of a base: what is in it, as JSON, so that it can be snapshotted again when its last snapshot is gone.
  data TEXT
`

const ROLES_OF_4 = ['base', 'clone', 'scratch', 'standby'] as const
const ROLES = [...ROLES_OF_4, 'warm'] as const

/** A CHECK can't be changed: https://www.sqlite.org/lang_altertable.html#otheralter */
const volumesAnew = (roles: readonly string[]) => `
    CREATE TABLE new_volumes (${volumeColumns(roles)}) STRICT;
    INSERT INTO new_volumes SELECT id, role, state, created_at, origin, data FROM volumes;
    DROP TABLE volumes;
    ALTER TABLE new_volumes RENAME TO volumes`

/** What makes a catalogue of each older schema one of the next. */
export const MIGRATIONS: Readonly<Record<number, string>> = {
  1: `
    ALTER TABLE volumes ADD COLUMN origin TEXT;
    ALTER TABLE volumes ADD COLUMN data TEXT;
    ALTER TABLE clones ADD COLUMN reset_failed_at TEXT`,
  // What was made before there were other tokens was made with the first.
  2: `
    ${TOKENS}
    ALTER TABLE clones ADD COLUMN token_id TEXT;
    ALTER TABLE snapshots ADD COLUMN token_id TEXT;
    ALTER TABLE idempotency_keys RENAME TO old_keys;
    ${IDEMPOTENCY_KEYS}
    INSERT INTO idempotency_keys SELECT '', key, request_hash, clone_id, created_at FROM old_keys;
    DROP TABLE old_keys`,
  3: `
    ${RETRIEVAL_RUNS}
    ALTER TABLE snapshots ADD COLUMN protected INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1));
    ALTER TABLE snapshots ADD COLUMN mask_version TEXT NOT NULL DEFAULT '';
    ALTER TABLE snapshots ADD COLUMN superuser TEXT NOT NULL DEFAULT '';
    ${volumesAnew(ROLES_OF_4)}`,
  4: `
    ALTER TABLE clones ADD COLUMN profile TEXT NOT NULL DEFAULT 'dev';
    ALTER TABLE clones ADD COLUMN steps TEXT NOT NULL DEFAULT '[]';
    ${volumesAnew(ROLES)}`,
  // What was brought in before came without.
  5: `
    ALTER TABLE snapshots ADD COLUMN has_plan_settings INTEGER NOT NULL DEFAULT 0 CHECK (has_plan_settings IN (0, 1))`,
}

export const SCHEMA = `
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

-- Every volume that we asked the storage for, written before it was asked.
-- pending: being made, or half made by a process that died; removed at start.
-- live: in use. retired: nobody's any more, kept only while snapshots of it stand.
CREATE TABLE volumes (${volumeColumns(ROLES)}) STRICT;

-- Every snapshot in the storage, likewise. Only live and published ones are shown to anyone.
CREATE TABLE snapshots (
  id TEXT PRIMARY KEY,
  volume_id TEXT NOT NULL REFERENCES volumes (id),
  state TEXT NOT NULL CHECK (state IN ('pending', 'live', 'retired')),
  published INTEGER NOT NULL CHECK (published IN (0, 1)),
  timestamp TEXT NOT NULL,
  created_at TEXT NOT NULL,
  database TEXT NOT NULL,
  databases TEXT NOT NULL,
  postgres_version INTEGER NOT NULL,
  size INTEGER NOT NULL,
  clone_id TEXT NOT NULL,
  -- The sample's data was never true anywhere: any other comes before it.
  sample INTEGER NOT NULL CHECK (sample IN (0, 1)),
  message TEXT NOT NULL,
  -- The token that took it of a clone; null for the first, and for the lab's own. No reference: a token is forgotten before what it made.
  token_id TEXT,
  protected INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1)),
  -- Empty for data that was not masked.
  mask_version TEXT NOT NULL DEFAULT '',
  -- Of a cluster that came from elsewhere, its bootstrap superuser; empty for one that the lab made.
  superuser TEXT NOT NULL DEFAULT '',
  -- Whether what of its source's settings decides plans is in its volume.
  has_plan_settings INTEGER NOT NULL DEFAULT 0 CHECK (has_plan_settings IN (0, 1))
) STRICT;

CREATE TABLE clones (
  id TEXT PRIMARY KEY,
  status TEXT NOT NULL CHECK (status IN ('OK', 'CREATING', 'RESETTING', 'DELETING', 'FATAL')),
  message TEXT NOT NULL,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  username TEXT NOT NULL,
  protected INTEGER NOT NULL CHECK (protected IN (0, 1)),
  delete_at TEXT,
  created_at TEXT NOT NULL,
  snapshot_id TEXT NOT NULL REFERENCES snapshots (id),
  -- The snapshot that a reset under way goes to.
  reset_to TEXT REFERENCES snapshots (id),
  -- Null before the first creation has come that far.
  volume_id TEXT REFERENCES volumes (id),
  port INTEGER NOT NULL UNIQUE,
  db_username TEXT NOT NULL,
  db_name TEXT NOT NULL,
  -- A SCRAM verifier, never a password.
  verifier TEXT NOT NULL,
  size INTEGER NOT NULL,
  cloning_seconds REAL NOT NULL,
  last_used_at TEXT NOT NULL,
  unsafe_boot_id TEXT,
  -- When the last reset failed and left the data from before.
  reset_failed_at TEXT,
  -- The token that it was made with; null for the first.
  token_id TEXT,
  profile TEXT NOT NULL DEFAULT 'dev',
  -- What its creation or last reset took, as the API answers it, as JSON.
  steps TEXT NOT NULL DEFAULT '[]'
) STRICT;

CREATE TABLE creations (
  finished_at TEXT NOT NULL,
  seconds REAL NOT NULL
) STRICT;

${IDEMPOTENCY_KEYS}
${TOKENS}
${RETRIEVAL_RUNS}
`
