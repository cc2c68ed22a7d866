import { findAllClientTools, LAB_ROLE } from '@dblab/provision'
import { execa } from 'execa'
import { firstRow } from '../lab/clones.ts'
import type { BareServer } from './bare-server.ts'

/** A way in which PostgreSQL itself copies a database. */
export interface CopyMethod {
  /** For tables. */
  name: string
  copy(server: BareServer, template: string, name: string): Promise<void>
}

/** `file_copy_method` is a setting of the server. */
export const FILE_COPY: CopyMethod = {
  name: '`CREATE DATABASE … STRATEGY FILE_COPY`, file_copy_method=clone',
  copy: (server, template, name) => createDatabase(server, template, name, 'file_copy'),
}

export const WAL_LOG: CopyMethod = {
  name: '`CREATE DATABASE … STRATEGY WAL_LOG`',
  copy: (server, template, name) => createDatabase(server, template, name, 'wal_log'),
}

/** Undefined where the program is not on this machine. */
export async function createdbMethod(): Promise<CopyMethod | undefined> {
  const [tool] = await findAllClientTools('createdb')
  return (
    tool && {
      name: '`createdb -T`',
      async copy({ socketDir, port }, template, name) {
        await execa(tool.path, ['-h', socketDir, '-p', String(port), '-U', LAB_ROLE, '-T', template, name])
      },
    }
  )
}

let number = 0

/** Milliseconds from the start of the copy to its first row; it is dropped when this resolves. */
export async function copiedDatabase(server: BareServer, template: string, { copy }: CopyMethod): Promise<number> {
  const name = `copy_${++number}`
  const started = performance.now()
  await copy(server, template, name)
  const ms = await firstRow(server.url(name), started)
  await server.asSuperuser('postgres', (client) => client.query(`drop database ${name}`))
  return ms
}

async function createDatabase(server: BareServer, template: string, name: string, strategy: string): Promise<void> {
  await server.asSuperuser('postgres', (client) =>
    client.query(`create database ${name} template ${client.escapeIdentifier(template)} strategy ${strategy}`),
  )
}
