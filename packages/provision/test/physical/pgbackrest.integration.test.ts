import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Places } from '../../src/index.ts'
import { describeDriver, hasProgram } from '../../testbed/index.ts'
import { openSource } from './source.ts'
import { missing, openLab } from './world.ts'

const PROGRAM = '/usr/bin/pgbackrest'

describeDriver('btrfs', missing ?? (hasProgram('pgbackrest') ? undefined : 'pgbackrest is needed'), () => {
  test('what pgBackRest restores becomes a base, up to the last WAL of its repository', async () => {
    await using lab = await openLab()
    await using source = await openSource(lab.world.account, await lab.world.binaries(15))
    const [repository, own] = [await source.directory('repository'), await source.directory('own')]
    const options = (dataDir: string) => [
      ...['--no-config', '--stanza=main', `--repo1-path=${repository}`, `--pg1-path=${dataDir}`],
      ...[`--log-path=${own}`, `--lock-path=${own}`, '--log-level-console=error'],
    ]
    const server = [
      ...options(source.dataDir),
      `--pg1-port=${source.port}`,
      `--pg1-socket-path=${source.sockets}`,
      '--pg1-user=postgres',
    ]
    const tablespace = await source.directory('elsewhere')
    await source.query(`create tablespace far location '${tablespace}'`)
    await source.query('create table public.t tablespace far as select 1 as i')
    await source.run(PROGRAM, ...server, 'stanza-create')
    const archive = [PROGRAM, ...options(source.dataDir), 'archive-push', '%p'].join(' ')
    await source.configure(`archive_mode = on\narchive_command = '${archive}'`)
    await source.stop()
    await source.start()
    await source.run(PROGRAM, ...server, '--start-fast', 'backup')
    await source.query('insert into public.t values (2)')
    await source.stop()

    const restore = ({ dataDir, tablespacesDir }: Places) =>
      source.run(PROGRAM, ...options(dataDir), `--tablespace-map=far=${join(tablespacesDir, 'far')}`, 'restore')
    const restoreCommand = (dataDir: string) => [PROGRAM, ...options(dataDir), 'archive-get', '%f', '%p']
    const facts = await lab.provisioner.adoptBase(
      { volumeId: 'base', recovery: { restoreCommand } },
      { bring: restore },
    )
    expect(facts).toMatchObject({ recovery: { kind: 'archive', timeline: 2 } })
    expect(facts.removed).toEqual(expect.arrayContaining(['postgresql.auto.conf', 'recovery.signal']))
    const first = { volumeId: 'base', snapshotId: 'first' }
    await lab.provisioner.snapshotStopped(first.volumeId, first.snapshotId)
    await lab.provisioner.createClone(await lab.cloneSpec('clone', first))
    expect(await lab.query('clone', 'select count(*)::int as rows from public.t')).toEqual([{ rows: 2 }])
  })
})
