import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchLab } from './lab.ts'

/** A clone's Postgres, as the lab's own records have it. */
export interface RunningInstance {
  dataDir: string
  socketDir: string
  port: number
  /** Of the postmaster. */
  pid: number
}

/** By port. */
export async function runningInstances({ directory }: BenchLab): Promise<Map<number, RunningInstance>> {
  const parent = join(directory, '.dblab/postgres/instances')
  const found = await Promise.all((await readdir(parent)).map((name) => readInstance(join(parent, name))))
  return new Map(found.map((instance) => [instance.port, instance]))
}

/** @throws Error where nothing runs at the port */
export async function instanceAt(lab: BenchLab, port: number): Promise<RunningInstance> {
  const instance = (await runningInstances(lab)).get(port)
  if (!instance) throw new Error(`no clone runs at port ${port}`)
  return instance
}

async function readInstance(directory: string): Promise<RunningInstance> {
  const [record, process] = await Promise.all(
    ['record.json', 'process.json'].map(async (name) => JSON.parse(await readFile(join(directory, name), 'utf8'))),
  )
  return { dataDir: record.dataDir, socketDir: record.socketDir, port: record.port, pid: process.pid }
}
