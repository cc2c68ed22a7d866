/** What of a database is wanted. All of it where nothing is said. */
export interface Selection {
  /** pg_dump's patterns: https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS */
  schemas: readonly string[]
  tables: readonly string[]
  excludeSchemas: readonly string[]
  excludeTables: readonly string[]
  /** These come without rows. */
  excludeTableData: readonly string[]
  excludeLargeObjects: boolean
}

/**
 * Of pg_dump. A pattern that finds nothing is an error where it says what is wanted.
 *
 * @param extensions to come along where something is named: pg_dump leaves them out then
 * @param major of pg_dump: an older one can't have them come
 */
export function selectionArguments(selection: Selection, extensions: readonly string[], major: number): string[] {
  return [
    ...selection.schemas.map((pattern) => `--schema=${pattern}`),
    ...selection.tables.map((pattern) => `--table=${pattern}`),
    ...selection.excludeSchemas.map((pattern) => `--exclude-schema=${pattern}`),
    ...selection.excludeTables.map((pattern) => `--exclude-table=${pattern}`),
    ...selection.excludeTableData.map((pattern) => `--exclude-table-data=${pattern}`),
    ...(selection.excludeLargeObjects ? ['--no-blobs'] : []),
    ...(namesSome(selection) ? ['--strict-names'] : []),
    ...(namesSome(selection) && major >= EXTENSIONS_SINCE
      ? extensions.map((name) => `--extension="${name.replaceAll('"', '""')}"`)
      : []),
  ]
}

/** pg_dump has --extension. */
export const EXTENSIONS_SINCE = 14

/** True where what is wanted is named, and not only what is not. */
export function namesSome({ schemas, tables }: Selection): boolean {
  return schemas.length > 0 || tables.length > 0
}

/** True where all of a database is wanted, so that what is known of all of it holds. */
export function isWhole({ excludeLargeObjects: _, ...patterns }: Selection): boolean {
  return Object.values(patterns).every((names) => names.length === 0)
}

/** They belong to no schema, and pg_dump leaves them out where some are named. */
export function hasLargeObjects({ schemas, tables, excludeLargeObjects }: Selection): boolean {
  return schemas.length === 0 && tables.length === 0 && !excludeLargeObjects
}
