import type { Clone } from '@dblab/models'
import { expect } from 'vitest'
import { urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { query } from '../support/sql.ts'
import { statusOf } from '../support/whole.ts'

export async function warmLab(warm: number, config: object = {}): Promise<TestLab> {
  const lab = await TestLab.make({ driver: 'btrfs', config: { ...config, clones: { warm } } })
  await lab.start()
  return lab
}

export async function untilReady(lab: TestLab): Promise<void> {
  await eventually('an instance stands ready', async () => (await statusOf(lab)).warm.ready > 0)
}

/** One stands ready, and it is not the one that had this pid. */
export async function untilAnother(lab: TestLab, pid: number): Promise<void> {
  await eventually('another one stands ready', async () => {
    const { servers } = await leftovers(lab.directory)
    return servers.length === 1 && !servers[0]?.startsWith(`${pid} `) && (await statusOf(lab)).warm.ready === 1
  })
}

export async function serversOf(lab: TestLab): Promise<{ pid: number; port: number }[]> {
  const servers = (await leftovers(lab.directory)).servers.map((line) => line.split(' '))
  return Promise.all(
    servers.map(async ([pid, dataDir = '']) => {
      const volumeId = /volumes\/([^/]+)\//.exec(dataDir)?.[1]
      const record = await lab.readDataFile(`postgres/instances/${volumeId}/record.json`)
      return { pid: Number(pid), port: Number(JSON.parse(record).port) }
    }),
  )
}

export async function anotherSnapshot(lab: TestLab): Promise<string> {
  const made = await lab.fetch('/snapshot', { method: 'POST', json: { message: 'again' } })
  const { id } = (await made.json()) as { id: string }
  return id
}

/** What can be told of a clone from within, less what is its own: its port, its processes, its paths. */
export async function portraitOf(clone: Clone): Promise<unknown> {
  const url = urlOf(clone)
  return {
    settings: await query(
      url,
      `SELECT name, setting, source FROM pg_settings WHERE name NOT IN ('port', 'data_directory', 'hba_file', 'ident_file',
         'config_file', 'external_pid_file', 'unix_socket_directories') ORDER BY name`,
    ),
    roles: await query(url, 'SELECT * FROM pg_roles ORDER BY rolname'),
    members: await query(
      url,
      `SELECT roleid::regrole::text, member::regrole::text, admin_option, inherit_option, set_option FROM pg_auth_members ORDER BY 1, 2`,
    ),
    databases: await query(url, 'SELECT datname, datacl::text, datconnlimit FROM pg_database ORDER BY datname'),
    settingsOfRoles: await query(url, 'SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting ORDER BY 1'),
    sessions: await query(
      url,
      `SELECT usename, datname FROM pg_stat_activity WHERE backend_type = 'client backend' ORDER BY usename`,
    ),
    rows: await query(url, 'SELECT count(*) FROM orders'),
    schema: await query(url, 'SELECT relname, relowner::regrole::text, relacl::text FROM pg_class ORDER BY oid'),
  }
}

export async function settingOf(clone: Clone, name: string): Promise<unknown> {
  const [row] = await query<{ value: string }>(urlOf(clone), `SELECT current_setting('${name}') AS value`)
  return row?.value
}

/** On the machine is what these clones, the base and the instances that stand ready need, and nothing else. */
export async function expectOnlyWarmLeft(lab: TestLab, clones: Clone[]): Promise<void> {
  const { warm } = await statusOf(lab)
  const needed = clones.length + warm.target
  await expect
    .poll(
      async () => {
        const { volumes, records, sockets, servers } = await leftovers(lab.directory)
        return { volumes: volumes.length, records: records.length, sockets: sockets.length, servers: servers.length }
      },
      { timeout: 20_000 },
    )
    .toEqual({ volumes: needed + 1, records: needed, sockets: needed, servers: needed })
}
