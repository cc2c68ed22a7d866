import { chown, open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Account } from '@dblab/provision'
import pg from 'pg'
import { createClone, deleteClone } from './clones.ts'
import type { Data } from './data.ts'
import { instanceAt, type RunningInstance } from './instances.ts'
import type { BenchLab } from './lab.ts'

export interface LargeSize {
  /** Of relations, beyond those of the sample. */
  files: number
  /** What the files show; they take next to nothing. */
  gigabytes: number
}

/** Of a table with a text column and a primary key: its own, its key's, that of its long values and their index'. */
const FILES_A_TABLE = 4
/** Each table takes some locks until the transaction ends, and there is room for 64 a connection (max_locks_per_transaction). */
const TABLES_A_TRANSACTION = 100
const WIDE_TABLES = 10
/** Owns the tables, and stays in the snapshot. */
const FILLER = 'filler'
/** RELSEG_SIZE times BLCKSZ: every segment of a relation but the last is as long as that (src/backend/storage/smgr/md.c). */
const SEGMENT_BYTES = 2 ** 30
const STOPPED_MS = 60_000

/**
 * A snapshot of much data in many files, made by what the lab offers: a clone is filled, and a snapshot taken of it. Small tables make the
 * number of files. Large ones make the size: while their server is stopped their files are extended without being written, so that they are
 * holes, which read as zeros. A page of zeros is a valid one to Postgres, new and without rows: the server that extends a relation may crash
 * before it initialises the page, so zeros pass the check of pages, scans pass over them and VACUUM takes them into use
 * (PageIsVerified in src/backend/storage/page/bufpage.c, PageIsNew in src/include/storage/bufpage.h).
 */
export async function largeData(
  lab: BenchLab,
  { files, gigabytes }: LargeSize,
  say: (text: string) => void,
): Promise<Data & { label: string }> {
  const label = `${gigabytes} GB in ${files.toLocaleString('en')} files`
  const id = `large-${gigabytes}-${files}`
  const there = (await lab.client.snapshots.list()).find((snapshot) => snapshot.id === id)
  if (there) return { snapshot: id, database: there.database, label }
  say(`making ${label}`)
  const clone = await createClone(lab, { username: FILLER })
  const wide = await makeTables(clone.url, Math.ceil(files / FILES_A_TABLE))
  const instance = await instanceAt(lab, clone.port)
  await lab.stop()
  await stopPostgres(instance)
  for (const path of wide) await extend(join(instance.dataDir, path), Math.round(gigabytes / WIDE_TABLES), lab.account)
  await lab.start()
  await untilRunning(lab, clone.id)
  await checkSize(clone.url, gigabytes)
  const snapshot = await lab.client.snapshots.create({ cloneId: clone.id, id })
  await deleteClone(lab, clone.id)
  return { snapshot: id, database: snapshot.database, label }
}

/** @returns paths of the tables that are to become large, below the data directory */
async function makeTables(url: string, number: number): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query('create schema large')
    for (let first = 0; first < number; first += TABLES_A_TRANSACTION) {
      const last = Math.min(first + TABLES_A_TRANSACTION, number) - 1
      await client.query(`do $$ begin for i in ${first}..${last} loop
        execute format('create table large.small_%s (id int primary key, note text)', i);
        execute format('insert into large.small_%s values (1, %L)', i, 'a row');
      end loop; end $$`)
    }
    const paths: string[] = []
    for (let i = 0; i < WIDE_TABLES; i++) {
      await client.query(`create table large.wide_${i} as select 1 as id, 'a row' as note`)
      const { rows } = await client.query<{ path: string }>(`select pg_relation_filepath('large.wide_${i}') as path`)
      paths.push(rows[0]?.path ?? '')
    }
    return paths
  } finally {
    await client.end()
  }
}

/** Lets it shut down cleanly, so that what is not in its files is in none. */
async function stopPostgres({ pid }: RunningInstance): Promise<void> {
  process.kill(pid, 'SIGINT')
  const deadline = performance.now() + STOPPED_MS
  while (isThere(pid)) {
    if (performance.now() > deadline) throw new Error('a Postgres of the lab did not stop')
    await sleep(50)
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
    throw error
  }
}

async function extend(path: string, segments: number, account: Account): Promise<void> {
  for (let segment = 0; segment < segments; segment++) {
    const file = segment === 0 ? path : `${path}.${segment}`
    const handle = await open(file, 'a', 0o600)
    await handle.truncate(SEGMENT_BYTES)
    await handle.close()
    await chown(file, account.uid, account.gid)
  }
}

/** The server that comes back starts it again. */
async function untilRunning({ client }: BenchLab, id: string): Promise<void> {
  const { status } = await client.call('GET /clone/{id}', { path: { id }, query: { wait: 60 } }, { timeoutMs: 70_000 })
  if (status.code !== 'OK') throw new Error(`the clone with the large data did not come back: ${status.message}`)
}

async function checkSize(url: string, gigabytes: number): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<{ bytes: string }>(
    `select sum(pg_relation_size(oid)) as bytes from pg_class where relname like 'wide\\_%'`,
  )
  await client.end()
  const bytes = Number(rows[0]?.bytes)
  if (bytes < gigabytes * SEGMENT_BYTES) throw new Error(`the large tables show ${bytes} bytes`)
}
