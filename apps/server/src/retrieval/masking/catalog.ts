import type { Client } from 'pg'
import { columnsSql, foreignKeysSql, tablesSql } from './catalog-sql.ts'

/** `r` holds rows; `p` has them in its partitions, `f` elsewhere, `v` and `m` get them from others. */
export type TableKind = 'r' | 'p' | 'v' | 'm' | 'f'

export interface Table {
  oid: number
  schema: string
  name: string
  /** Quoted, for SQL. */
  sql: string
  kind: TableKind
  /** The partitioned table at the top, for a partition; else itself. Its partitions have their columns and keys from it. */
  root: number
  /** What it inherits from, near and far. */
  ancestors: number[]
}

export interface Column {
  table: Table
  name: string
  /** As it was declared, for a cast. */
  type: string
  /** The type below all domains; of an array, its elements'. */
  base: string
  array: boolean
  /** Of varchar(n) and char(n). */
  length: number | undefined
  notNull: boolean
  generated: boolean
  /** GENERATED ALWAYS AS IDENTITY. */
  alwaysIdentity: boolean
  /** By itself, or as one of several columns that are together; undefined where nothing demands it. */
  unique: 'alone' | 'part' | undefined
  partitionKey: boolean
}

export interface ForeignKey {
  name: string
  validated: boolean
  full: boolean
  /** Of ranges, with PERIOD. */
  temporal: boolean
  childTable: number
  parentTable: number
  /** Their roots. */
  child: number
  parent: number
  childColumns: string[]
  parentColumns: string[]
  /** Parent's column first. */
  operators: string[]
}

/** What a database has that rules can be about. */
export interface Catalog {
  tables: Map<number, Table>
  columns: Column[]
  foreignKeys: ForeignKey[]
}

export async function readCatalog(client: Client): Promise<Catalog> {
  const tables = new Map((await client.query<Table>(tablesSql)).rows.map((table) => [table.oid, table]))
  const { rows } = await client.query<Omit<Column, 'table'> & { oid: number }>(columnsSql)
  const columns = rows.flatMap(({ oid, ...column }) => {
    const table = tables.get(oid)
    return table ? [{ ...column, table, length: column.length ?? undefined, unique: column.unique ?? undefined }] : []
  })
  const foreignKeys = (await client.query<ForeignKey>(foreignKeysSql)).rows
  return { tables, columns, foreignKeys }
}

/** How people name a column, and how a configuration does. */
export function nameOf({ table, name }: Column): string {
  return `${table.schema}.${table.name}.${name}`
}

/** A column of a table or of all its partitions together. */
export function keyOf(root: number, column: string): string {
  return `${root}:${column}`
}
