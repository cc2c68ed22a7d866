/**
 * What is told of a sentence of a Postgres that works on data. Functions and input functions of the data write into theirs what they like: "invalid input
 * syntax for type integer: …" quotes a value, and so does whatever a CHECK raises. So only what is known is told, and of that no more than the part
 * that names objects, limits and files. The sentences are those of PostgreSQL 12 to 18 (src/backend/po).
 */
const NAME = '"[^"]*"'
const KIND =
  '(?:access method|aggregate|cast|collation|column|constraint|conversion|database|domain|event trigger|extension|foreign table|foreign-data wrapper|foreign server|function|index|language|large object|materialized view|operator(?: class| family)?|parameter|policy|procedure|publication|relation|role|rule|schema|sequence|server|statistics object|subscription|table|tablespace|text search (?:configuration|dictionary|parser|template)|trigger|type|user mapping|view)'
const SIGNATURE = String.raw`[\w."]+(?:\([\w\s,."[\]]*\))?`

const KNOWN: readonly RegExp[] = [
  // Objects that are there, or not, or closed.
  `${KIND} ${NAME}(?: (?:of|for|on|in) (?:${KIND}|encoding) ${NAME})* (?:does not exist|already exists|is not available|has not been populated)`,
  `(?:aggregate|function|operator|procedure) ${SIGNATURE} (?:does not exist|already exists|is not unique)`,
  String.raw`large object \d+ (?:does not exist|already exists)`,
  'operator does not exist',
  `permission denied for ${KIND} ${SIGNATURE}(?=$)`,
  `permission denied to (?:alter|create|drop|grant|set) ${KIND}(?: ${NAME})?`,
  'permission denied',
  `must be (?:superuser|owner of ${KIND}|member of role ${NAME}|able to SET ROLE ${NAME})`,
  `cannot drop ${KIND} ${SIGNATURE} because other objects depend on it`,
  `unrecognized configuration parameter ${NAME}`,
  `invalid value for parameter ${NAME}`,
  `user mapping not found for (?:user )?${NAME}(?:, server ${NAME})?`,
  `could not connect to server ${NAME}`,
  // Constraints.
  `duplicate key value violates unique constraint ${NAME}`,
  `could not create (?:unique index|exclusion constraint) ${NAME}`,
  `conflicting key value violates exclusion constraint ${NAME}`,
  `(?:insert or update|update or delete) on table ${NAME} violates foreign key constraint ${NAME}(?: on table ${NAME})?`,
  `new row for relation ${NAME} violates (?:check constraint ${NAME}|partition constraint)`,
  `(?:check constraint ${NAME}|partition constraint) (?:of relation ${NAME} )?is violated by some row`,
  `null value in column ${NAME}(?: of relation ${NAME})? violates not-null constraint`,
  `column ${NAME}(?: of relation ${NAME})? contains null values`,
  `no partition of relation ${NAME} found for row`,
  // What a value is not, without the value.
  'invalid input syntax for type [a-z][a-z ]*',
  'invalid input value for enum',
  String.raw`value too long for type [a-z ]+\(\d+\)`,
  '(?:bigint|integer|numeric|smallint) out of range',
  'numeric field overflow',
  'date/time field value out of range',
  'malformed (?:array|range|record) literal',
  'division by zero',
  `invalid byte sequence for encoding ${NAME}`,
  'character with byte sequence',
  `missing data for column ${NAME}`,
  'extra data after last expected column',
  'syntax error',
  'unterminated quoted string',
  // The machine and its locales.
  'out of shared memory',
  'out of memory',
  `could not (?:access|create|extend|fsync|open|read|write)(?: to| from)? (?:file|directory|extension control file) ${NAME}: (?:No space left on device|Disk quota exceeded|No such file or directory|Permission denied)`,
  `could not load library ${NAME}`,
  'invalid (?:ICU )?locale name',
  `could not create locale ${NAME}`,
  `encoding ${NAME} does not match locale ${NAME}`,
  `new (?:encoding|collation|LC_CTYPE) \\([^)]*\\) is incompatible with the (?:encoding|collation|LC_CTYPE) of the template database`,
  // A server that ends what it does.
  'canceling statement due to (?:conflict with recovery|lock timeout|statement timeout|user request)',
  'current transaction is aborted',
  'terminating connection (?:due to|because of) [a-z -]+(?=$)',
  'the database system is (?:shutting down|starting up|in recovery mode)',
].map((pattern) => new RegExp(`^${pattern}`))

/** Wherever it stands. */
const FULL = /(?:No space left on device|Disk quota exceeded)$/

/** The part that can be told, if any. */
export function tellable(sentence: string): string | undefined {
  for (const pattern of KNOWN) {
    const told = pattern.exec(sentence)?.[0]
    if (told !== undefined) return told.trimEnd()
  }
  return FULL.exec(sentence)?.[0]
}
