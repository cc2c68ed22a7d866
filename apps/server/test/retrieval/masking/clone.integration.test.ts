import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  binarySource,
  callerAccount,
  createImportRole,
  dataDirOf,
  findAccount,
  IMPORT_ROLE,
  type Instance,
  openStorage,
  ProcessRuntime,
  Provisioner,
  scramVerifier,
  withLabConnection,
} from '@dblab/provision'
import { freePort } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { maskCluster } from '../../../src/retrieval/masking/masking.ts'
import { query } from '../../support/sql.ts'
import { openDirectory } from '../cluster.ts'
import { canary, search } from './canaries.ts'
import { majorsUnderTest, masking } from './world.ts'

const binaries = (await majorsUnderTest()).slice(-1)

/** A provisioner of its own, with everything below one directory. */
async function makeLab(binDir: string) {
  await using undo = new AsyncDisposableStack()
  const directory = await openDirectory()
  undo.defer(() => rm(directory, { recursive: true, force: true }))
  const account = await findAccount()
  for (const name of ['state', 'copies']) await mkdir(join(directory, name))
  const runtime = new ProcessRuntime({
    account,
    stateDir: join(directory, 'state'),
    labUser: callerAccount().name,
    binaries: binarySource({
      account,
      configured: [binDir],
      embedded: false,
      system: false,
      copiesDir: join(directory, 'copies'),
    }),
  })
  const { driver: storage, destroy } = await openStorage({
    driver: 'copy',
    labId: 'masking',
    root: join(directory, 'pool'),
    owner: account,
  })
  undo.defer(destroy)
  const kept = undo.move()
  const provisioner = new Provisioner({ storage, runtime, host: '127.0.0.1', settings: {}, allowSuperusers: false })
  return { provisioner, account, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

describe.each(binaries)('a clone in PostgreSQL $version', ({ binDir }) => {
  test('of masked data holds none of what was masked in any file, and what was not is as it was', async () => {
    await using lab = await makeLab(binDir)
    const { provisioner, account } = lab
    const secret = canary('of a clone')
    const fill = async (instance: Instance): Promise<void> => {
      await createImportRole(instance)
      await withLabConnection(instance, 'postgres', (client) => client.query('create database shop template template0'))
      await withLabConnection(
        instance,
        'shop',
        async (client) => {
          await client.query('set search_path = public')
          await client.query('create table person (id int primary key, email text unique, city text)')
          await client.query(`insert into person select i, '${secret}' || i, 'Here' from generate_series(1, 1000) i`)
          await client.query('analyze')
          await client.query('checkpoint')
        },
        { role: IMPORT_ROLE },
      )
      expect(await search(instance.dataDir, [secret])).not.toEqual(new Map())
      const rules = [{ table: 'public.person', column: 'email', fake: 'email' }]
      const coverage = { allow: ['public.person.city'] }
      await maskCluster({ instance, database: 'shop', masking: await masking({ rules, coverage }), account })
    }
    const loginRoles = [IMPORT_ROLE]
    await provisioner.createBase({ volumeId: 'base', databases: ['shop'], port: await freePort(), loginRoles }, fill)
    await using undo = new AsyncDisposableStack()
    undo.defer(() => provisioner.destroyVolume('base'))
    await provisioner.snapshotStopped('base', 'first')
    undo.defer(() => provisioner.storage.destroySnapshot({ volumeId: 'base', snapshotId: 'first' }))
    const port = await freePort()
    const login = {
      username: 'ann',
      database: 'shop',
      verifier: await scramVerifier('of-a-test'),
      password: 'of-a-test',
    }
    undo.defer(() => provisioner.destroyVolume('clone'))
    await provisioner.createClone({ volumeId: 'clone', from: { volumeId: 'base', snapshotId: 'first' }, port, login })

    const rows = await query<{ id: number; email: string; city: string }>(
      `postgres://ann:of-a-test@127.0.0.1:${port}/shop`,
      'select * from person order by id',
    )
    expect(rows).toHaveLength(1000)
    expect(rows[0]).toEqual({ id: 1, email: expect.stringMatching(/@example\.com$/), city: 'Here' })
    for (const id of ['base', 'clone']) {
      const volume = await provisioner.storage.findVolume(id)
      if (!volume) throw new Error(`there is no volume ${id}`)
      expect(await search(dataDirOf(volume), [secret])).toEqual(new Map())
      expect(await search(dataDirOf(volume), ['@example.com'])).not.toEqual(new Map())
    }
  })
})
