import { execFileSync } from 'node:child_process'
import { eventually, type TestLab } from '../support/lab.ts'

export interface ToolAtWork {
  pid: number
  name: string
}

/** PostgreSQL's client programs that work for a lab, with their workers: each names a place of the lab's. */
export function toolsAtWork(lab: TestLab): ToolAtWork[] {
  const lines = execFileSync('ps', ['-eo', 'pid,args', '-ww'], { encoding: 'utf8' }).split('\n')
  return lines.flatMap((line) => {
    const [, pid, name] = /^\s*(\d+) \S*\/(pg_dump|pg_restore|pg_basebackup|psql) /.exec(line) ?? []
    return pid !== undefined && name !== undefined && line.includes(lab.directory) ? [{ pid: Number(pid), name }] : []
  })
}

/** Those of one name, once there is one: the first is who started the others. */
export async function untilAtWork(lab: TestLab, name: string): Promise<number[]> {
  let found: number[] = []
  await eventually(
    `there is a ${name}`,
    () => {
      found = toolsAtWork(lab).flatMap((tool) => (tool.name === name ? [tool.pid] : []))
      return found.length > 0
    },
    60_000,
  )
  return found
}

/** A table whose restoring waits for three seconds, and whose dumping does not. */
export const SLOW_TO_RESTORE = [
  `CREATE FUNCTION slow(int) RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(3) IS NOT NULL'`,
  'CREATE TABLE slowly (i int)',
  'INSERT INTO slowly VALUES (1)',
  'ALTER TABLE slowly ADD CHECK (slow(i))',
] as const
