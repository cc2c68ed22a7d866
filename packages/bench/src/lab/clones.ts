import type { Clone } from '@dblab/sdk'
import pg from 'pg'
import type { BenchLab } from './lab.ts'

export const USER = 'bench'
export const PASSWORD = 'the password of the benchmark'

/** Seconds that the lab holds its answers: of fifty clones at once the last comes late. */
const WAIT = 300
const TIMEOUT_MS = 310_000

export interface BenchClone {
  id: string
  port: number
  /** With the password. */
  url: string
  /** As the lab answered. */
  answer: Clone
}

export interface CloneChoice {
  /** Left out, the newest of the lab's own data. */
  snapshot?: string
  /** Of the database; a snapshot of the clone has it as a role. */
  username?: string
}

/**
 * By one request, whose answer is held until the clone is ready.
 *
 * @throws Error for a clone that is not ready then
 */
export async function createClone(
  { client }: BenchLab,
  { snapshot, username = USER }: CloneChoice = {},
): Promise<BenchClone> {
  const body = { db: { username, password: PASSWORD }, ...(snapshot && { snapshot }) }
  return ready(await client.call('POST /clone', { query: { wait: WAIT }, body }, { timeoutMs: TIMEOUT_MS }))
}

/** @throws Error for a clone that is not ready then */
export async function resetClone({ client }: BenchLab, id: string): Promise<BenchClone> {
  const input = { path: { id }, query: { wait: WAIT }, body: {} }
  return ready(await client.call('POST /clone/{id}/reset', input, { timeoutMs: TIMEOUT_MS }))
}

/** Gone when this resolves. */
export async function deleteClone({ client }: BenchLab, id: string): Promise<void> {
  await client.clones.delete(id)
}

/**
 * Connects as this user with this password, over TCP, and asks for a first row.
 *
 * @param since a moment of `performance.now()`; left out: now
 * @returns milliseconds from then to the row
 * @throws Error that says the port; its cause, why
 */
export async function firstRow(url: string, since = performance.now()): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  try {
    await client.connect()
    await client.query('select 1')
    return performance.now() - since
  } catch (error) {
    throw new Error(`no first row from port ${new URL(url).port}`, { cause: error })
  } finally {
    await client.end()
  }
}

/** The lab's own word on how long each step of a creation took, in milliseconds. */
export function stepsOf({ answer }: BenchClone): Array<{ name: string; ms: number }> {
  return answer.steps.map(({ name, seconds }) => ({ name, ms: seconds * 1000 }))
}

/** Whether a clone was handed out, or reset to one, of the instances that the lab had started ahead. */
export function wasWarm(clone: BenchClone): boolean {
  return stepsOf(clone).at(-1)?.name === 'handover'
}

function ready(answer: Clone): BenchClone {
  if (answer.status.code !== 'OK') throw new Error(`clone ${answer.id} is not ready: ${answer.status.message}`)
  const url = new URL(answer.db.connStr)
  url.password = encodeURIComponent(PASSWORD)
  return { id: answer.id, port: Number(answer.db.port), url: url.href, answer }
}
