import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { watchRows } from './row-changes.ts'
import { RowMemory } from './row-memory.ts'

interface Row {
  id: string
  value: number
}

/** A table with two rows, and the memory of it. */
class Table {
  readonly db = new DatabaseSync(':memory:')
  readonly memory: RowMemory<Row>
  queries = 0

  constructor() {
    this.db.exec(`CREATE TABLE rows (id TEXT PRIMARY KEY, value INTEGER NOT NULL UNIQUE);
      INSERT INTO rows VALUES ('b', 2), ('a', 1)`)
    this.memory = new RowMemory<Row>({
      db: this.db,
      readAll: () => this.#query('SELECT * FROM rows'),
      read: (id) => this.#query('SELECT * FROM rows WHERE id = ?', id)[0],
      compare: (a, b) => a.value - b.value,
    })
    watchRows(this.db, ['rows'], (_, id) => this.memory.noteWritten(id))
    this.queries = 0
  }

  /** What is there, past the memory. */
  get truth(): Row[] {
    return this.db.prepare('SELECT * FROM rows ORDER BY value').all().map(toRow)
  }

  /** A statement that may be refused. */
  attempt(sql: string): void {
    try {
      this.db.exec(sql)
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_SQLITE_ERROR' })
    }
  }

  #query(sql: string, ...values: string[]): Row[] {
    this.queries++
    return this.db
      .prepare(sql)
      .all(...values)
      .map(toRow)
  }
}

function toRow({ id, value }: Record<string, unknown>): Row {
  return { id: String(id), value: Number(value) }
}

test('what was not written is not read again, and is the same object', () => {
  const table = new Table()
  const { memory } = table
  const before = memory.list()
  expect(before).toEqual([
    { id: 'a', value: 1 },
    { id: 'b', value: 2 },
  ])
  expect([memory.get('a'), memory.get('none')]).toEqual([before[0], undefined])
  expect(table.queries).toBe(0)
})

test('of what was written, each row is read once', () => {
  const table = new Table()
  const { memory, db } = table
  const [a, b] = memory.list()
  db.exec("UPDATE rows SET value = 3 WHERE id = 'a'; INSERT INTO rows VALUES ('c', 0)")
  expect(memory.list().map(({ id }) => id)).toEqual(['c', 'b', 'a'])
  expect(memory.get('a')).toEqual({ id: 'a', value: 3 })
  expect(memory.get('b')).toBe(b)
  expect(a).toEqual({ id: 'a', value: 1 })
  expect(table.queries).toBe(2)
})

test('nobody can change what others see', () => {
  const { memory } = new Table()
  expect(() => Object.assign(memory.get('a') ?? {}, { value: 7 })).toThrow(TypeError)
  memory.list().pop()
  expect(memory.list()).toHaveLength(2)
})

test('who looks in a transaction sees what it has written, and nobody after a rollback', () => {
  const { memory, db } = new Table()
  db.exec("BEGIN; UPDATE rows SET value = 3 WHERE id = 'a'; DELETE FROM rows WHERE id = 'b'")
  expect([memory.get('a'), memory.get('b')]).toEqual([{ id: 'a', value: 3 }, undefined])
  expect(memory.list()).toEqual([{ id: 'a', value: 3 }])
  db.exec('ROLLBACK')
  expect(memory.list()).toEqual([
    { id: 'a', value: 1 },
    { id: 'b', value: 2 },
  ])
})

// Often refused halfway: another row has the value already.
const write = fc.oneof(
  fc
    .record({ id: fc.constantFrom('a', 'b', 'c'), value: fc.nat(4) })
    .map(
      ({ id, value }) => `INSERT INTO rows VALUES ('${id}', ${value}) ON CONFLICT (id) DO UPDATE SET value = ${value}`,
    ),
  fc.nat(4).map((value) => `UPDATE rows SET value = value + 1 WHERE value >= ${value}`),
  fc.nat(4).map((value) => `DELETE FROM rows WHERE value >= ${value}`),
)
const step = fc.oneof(
  write,
  fc.constantFrom('BEGIN', 'COMMIT', 'ROLLBACK'),
  fc.constantFrom('look', 'look at a', 'look at b'),
)

test('whatever is written, refused, committed and rolled back, and whenever it is looked at, it is what is there', {
  timeout: 60_000,
}, () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => {
      const table = new Table()
      const { memory } = table
      for (const sql of [...steps, 'look']) {
        if (sql === 'look') expect(memory.list()).toEqual(table.truth)
        else if (sql.startsWith('look at ')) {
          const id = sql.slice(-1)
          expect(memory.get(id)).toEqual(table.truth.find((row) => row.id === id))
        } else table.attempt(sql)
      }
    }),
    { numRuns: 500 },
  )
})
