import { join } from 'node:path'
import { run } from '@dblab/provision'
import { isRoot } from '@dblab/provision/testbed'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Condition, chosen } from '../../src/retrieval/logical/patterns.ts'
import { type Selection, selectionArguments } from '../../src/retrieval/logical/selection.ts'
import { LiveSource } from './live-source.ts'
import { lacking, needSource } from './world.ts'

const ALL: Selection = {
  schemas: [],
  tables: [],
  excludeSchemas: [],
  excludeTables: [],
  excludeTableData: [],
  excludeLargeObjects: false,
}

const cases: Partial<Selection>[] = [
  {},
  { schemas: ['sales'] },
  { schemas: ['sales', '"Odd"*'] },
  { schemas: ['"Odd.One"'] },
  { schemas: ['s(ales|tock)'] },
  { excludeSchemas: ['SALES'] },
  { excludeSchemas: ['s*'], excludeTables: ['orders'] },
  { tables: ['orders'] },
  { tables: ['ORDERS'] },
  { tables: ['"Orders"'] },
  { tables: ['sales.*'] },
  { tables: ['*.orders'] },
  { tables: ['*.order?'], excludeTables: ['sales.orders'] },
  { tables: ['shop.sales.orders'] },
  // Tables that are named make pg_dump look at no schemas.
  { tables: ['sales.orders'], schemas: ['stock'], excludeSchemas: ['sales'] },
  { tables: ['sales.a_b', 'sales.a+b'] },
  { tables: ['sales."a+b"', 'sales."a""q"'] },
  { tables: ['sales.[a-b]_b'] },
  { tables: ['sales.x$y'] },
  // Letters beyond ASCII do not fold.
  { tables: ['sales.größe', 'sales.ÄRGER'] },
  { excludeTables: ['orders', 'sales.a*'] },
  { excludeTableData: ['orders', 'stock.*', '"Odd.One".*'] },
  { schemas: ['sales'], excludeTables: ['sales.orders'], excludeTableData: ['sales.a_b'] },
]

describe.skipIf(lacking !== '')(`what is chosen of a database${lacking}`, () => {
  let live: LiveSource

  beforeAll(async () => {
    live = await LiveSource.make(needSource())
    const names = [
      'orders',
      '"Orders"',
      'order1',
      'a_b',
      '"a+b"',
      'aab',
      '"a""q"',
      'x$y',
      '"größe"',
      '"Ärger"',
      '"ärger"',
    ]
    await live.query('postgres', `CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`)
    await live.query(
      'shop',
      ...['sales', 'stock', '"Odd.One"'].map((schema) => `CREATE SCHEMA ${schema}`),
      ...['public', 'sales', 'stock', '"Odd.One"'].flatMap((schema) =>
        names.map((name) => `CREATE TABLE ${schema}.${name} (id int)`),
      ),
      'CREATE TABLE sales.parts (id int) PARTITION BY LIST (id)',
      'CREATE TABLE sales.part_1 PARTITION OF sales.parts FOR VALUES IN (1)',
    )
  })
  afterAll(async () => live[Symbol.asyncDispose]())

  test.each(cases)('is what pg_dump takes: %j', async (part) => {
    const selection = { ...ALL, ...part }
    const { dumped, withRows } = chosen(selection)
    expect({ dumped: await found(dumped, 'r', 'p'), withRows: await found(withRows, 'r') }).toEqual(
      await taken(selection),
    )
  })

  async function found({ sql, values }: Condition, ...kinds: string[]): Promise<string[]> {
    const client = live.client('shop')
    await client.connect()
    const { rows } = await client.query<{ name: string }>(
      `SELECT n.nspname || ' ' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN (${kinds.map((kind) => `'${kind}'`).join()}) AND n.nspname !~ '^(pg_|information_schema$)' AND ${sql}`,
      values,
    )
    await client.end()
    return rows.map(({ name }) => name).toSorted()
  }

  async function taken(selection: Selection): Promise<{ dumped: string[]; withRows: string[] }> {
    const argv = [
      `--dbname=host=${live.socketDir} port=${live.port} user=postgres dbname=shop`,
      ...selectionArguments(selection, [], needSource().major),
    ]
    const { stdout } = await run(
      [join(needSource().binDir, 'pg_dump'), ...argv],
      isRoot ? { account: live.account } : {},
    )
    const named = (type: string): string[] =>
      [...stdout.matchAll(new RegExp(`^-- (?:Data for )?Name: (.*); Type: ${type}; Schema: (.*); Owner`, 'gm'))]
        .map(([, name, schema]) => `${schema} ${name}`)
        .toSorted()
    return { dumped: named('TABLE'), withRows: named('TABLE DATA') }
  }
})
