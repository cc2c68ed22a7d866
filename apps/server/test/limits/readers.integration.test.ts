import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describeDriver } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { isAtRest, untilAtRest } from '../support/rest.ts'
import { query } from '../support/sql.ts'
import { lacksFileSystem, smallBtrfs, UNGUARDED } from './pools.ts'
import { Reader } from './traffic.ts'

describeDriver('btrfs', lacksFileSystem('btrfs'), () => {
  test('who reads in a full pool reads on when a checkpoint is due, and may come and go', async () => {
    // The shortest that there is.
    await using pool = await smallBtrfs(UNGUARDED, { postgres: { settings: { checkpoint_timeout: '30s' } } })
    await using lab = await TestLab.make(pool.options)
    await lab.start()
    const read = urlOf(await createClone(lab, { id: 'read' }))
    const written = urlOf(await createClone(lab, { id: 'written' }))
    for (const url of [read, written]) await untilAtRest(url)
    const reader = new Reader(read)
    await reader.start()
    await query(written, 'CREATE TABLE written (id int)')
    await pool.leave(0)
    // Its timer was set after that of the other.
    await eventually(
      'a checkpoint that has work to do ends its clone',
      async () => /PANIC/.test(await logs(lab)),
      60_000,
    )
    expect(await query(read, 'SELECT count(*) > 0 AS some FROM order_items')).toEqual([{ some: true }])
    expect(await isAtRest(read)).toBe(true)
    expect(await reader.stop()).toBeGreaterThan(100)
    await pool.release()
    await eventually(
      'the other runs again',
      async () => (await query(written, 'TABLE written').catch(() => 0)) !== 0,
      90_000,
    )
  }, 240_000)
})

async function logs(lab: TestLab): Promise<string> {
  const instances = join(lab.directory, '.dblab/postgres/instances')
  const all = (await readdir(instances)).map((id) => readFile(join(instances, id, 'postgres.log'), 'utf8'))
  return (await Promise.all(all)).join('')
}
