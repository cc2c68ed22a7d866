import { expect } from 'vitest'
import { eventually, type TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import type { LiveSource } from './live-source.ts'
import { toolsAtWork } from './tools-at-work.ts'

/** The source is as if the lab had never come, and no tool of the lab's runs any more. */
export async function expectSourceFree(live: LiveSource, lab: TestLab): Promise<void> {
  await eventually('the tools have ended', () => toolsAtWork(lab).length === 0)
  await eventually('the source is free', async () => (await live.sessions()).length === 0)
  expect(await live.query('postgres', 'SELECT slot_name FROM pg_replication_slots')).toEqual([])
}

/** What a lab may have on the machine. */
export interface Belongings {
  generations: number
  clones: number
}

/** Nothing half made is left: no volume, no server, no record of one. */
export async function expectOnly(lab: TestLab, { generations, clones }: Belongings): Promise<void> {
  const count = async () => {
    const { volumes, snapshots, servers, records, sockets } = await leftovers(lab.directory)
    return {
      volumes: volumes.length,
      snapshots: snapshots.length,
      // The processes of a server that runs may be seen as several while it starts one.
      servers: new Set(servers.map((line) => line.split(' ')[1])).size,
      records: records.length,
      sockets: sockets.length,
    }
  }
  const wanted = {
    volumes: generations + clones,
    snapshots: generations,
    servers: clones,
    records: clones,
    sockets: clones,
  }
  await expect.poll(count, { timeout: 20_000, message: lab.output }).toEqual(wanted)
}
