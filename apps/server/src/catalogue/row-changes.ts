import type { DatabaseSync } from 'node:sqlite'

export type RowListener = (table: string, id: string) => void

const WRITES = [
  ['INSERT', 'NEW'],
  ['UPDATE', 'NEW'],
  ['DELETE', 'OLD'],
] as const

/**
 * Tells of every row that is written, whichever statement does it: who adds one can't forget to. By triggers that are temporary, as those of
 * the seal are.
 *
 * @param tables those whose rows have an `id`
 * @param listener called in the middle of the statement: it may only take note. A rollback may still undo what it hears of.
 */
export function watchRows(db: DatabaseSync, tables: readonly string[], listener: RowListener): void {
  db.function('dblab_row_written', (table, id) => {
    listener(String(table), String(id))
    return null
  })
  for (const table of tables) {
    for (const [verb, row] of WRITES) {
      db.exec(`CREATE TEMP TRIGGER "written_${verb}_${table}" AFTER ${verb} ON main."${table}"
        BEGIN SELECT dblab_row_written('${table}', ${row}.id); END`)
    }
  }
}
