import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasProgram, pagilaFile, pagilaMissing } from '@dblab/provision/testbed'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CONCURRENTLY, EVERY_KIND, IS_DONE } from './every-kind.ts'
import { labOf, type RunningLab } from './lab.ts'
import { query } from './query.ts'
import { Project } from './tool.ts'

const missing = pagilaMissing ?? (hasProgram('psql') ? undefined : 'there is no psql, which imports plain dumps')
const DONE = {
  made: true,
  altered: true,
  truncated: true,
  dropped: true,
  enlarged: true,
  replaced: true,
  extended: true,
  indexed: true,
}

describe.skipIf(missing !== undefined)(`on a clone of Pagila${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: RunningLab
  beforeAll(async () => {
    lab = await labOf(pagilaFile)
  })
  afterAll(() => lab?.[Symbol.asyncDispose]())

  /** A clone of its own, and a project that has its address. */
  async function open(id: string) {
    const url = (await lab.client.clones.create({ id })).connectionString()
    const project = await Project.make(url)
    return { url, project, [Symbol.asyncDispose]: () => project[Symbol.asyncDispose]() }
  }

  test('node-pg-migrate goes up and down', async () => {
    await using clone = await open('node-pg-migrate')
    const { project, url } = clone
    const down =
      'ALTER TABLE film DROP COLUMN studio; DROP TABLE review; DROP EXTENSION citext; ALTER TABLE customer RENAME COLUMN is_active TO activebool'
    const migration = (up: string, undo: string, more = '') =>
      `export const up = (pgm) => { ${more} pgm.sql(${JSON.stringify(up)}) }\nexport const down = (pgm) => { ${more} pgm.sql(${JSON.stringify(undo)}) }\n`
    await project.write('migrations/1700000000001_every-kind.js', migration(EVERY_KIND, down))
    const undo = 'DROP INDEX CONCURRENTLY film_by_studio'
    await project.write('migrations/1700000000002_index.js', migration(CONCURRENTLY, undo, 'pgm.noTransaction();'))
    await project.run('node-pg-migrate', 'up')
    expect(await query(url, IS_DONE)).toEqual([DONE])
    await project.run('node-pg-migrate', 'down', '2')
    const gone = `SELECT to_regclass('review') AS review, to_regclass('film_by_studio') AS index, (SELECT count(*)::int FROM pgmigrations) AS run`
    expect(await query(url, gone)).toEqual([{ review: null, index: null, run: 0 }])
  })

  test('Drizzle Kit generates and migrates, pushes, and pulls', async () => {
    await using clone = await open('drizzle')
    const { project, url } = clone
    const config = (out: string, filter: string) =>
      `export default { dialect: 'postgresql', schema: './schema.ts', out: './${out}', tablesFilter: ['${filter}'],
         dbCredentials: { url: process.env.DATABASE_URL } }`
    await project.write('drizzle.config.ts', config('drizzle', 'studio'))
    await project.write('pull.config.ts', config('pulled', '*'))
    const schema = (columns: string) =>
      `import { integer, pgTable, serial, text } from 'drizzle-orm/pg-core'\nexport const studio = pgTable('studio', { ${columns} })\n`
    await project.write('schema.ts', schema(`id: serial().primaryKey(), name: text().notNull().unique()`))
    await project.run('drizzle-kit', 'generate', '--name', 'studio')
    await project.run('drizzle-kit', 'generate', '--custom', '--name', 'every-kind')
    const [custom] = (await readdir(join(project.directory, 'drizzle'))).filter((name) =>
      name.endsWith('every-kind.sql'),
    )
    // Drizzle runs all of a migration in one transaction, so it makes no index concurrently.
    await project.write(`drizzle/${custom}`, `${EVERY_KIND}${CONCURRENTLY.replace('CONCURRENTLY', '')};`)
    await project.run('drizzle-kit', 'migrate')
    expect(await query(url, IS_DONE)).toEqual([DONE])
    await project.write(
      'schema.ts',
      schema(`id: serial().primaryKey(), name: text().notNull().unique(), founded: integer()`),
    )
    await project.run('drizzle-kit', 'push', '--force')
    await query(url, `INSERT INTO studio (name, founded) VALUES ('one', 1999)`)
    await project.run('drizzle-kit', 'pull', '--config', 'pull.config.ts')
    const pulled = await readFile(join(project.directory, 'pulled/schema.ts'), 'utf8')
    for (const table of ['film', 'studio', 'review']) expect(pulled).toContain(`pgTable("${table}"`)
  })

  // With Prisma 6 and the engine that it bundles as WebAssembly; Prisma 7 bundles it too and gives no way to use it, and the other one is
  // downloaded from a host of Prisma's.
  // Each of its commands takes seconds on its own, and more where it finds no network.
  test.skipIf(!process.env.DBLAB_LONG_TESTS)(
    'Prisma pulls, migrates with a shadow database, and deploys (npm run test:long)',
    { timeout: 600_000 },
    async () => {
      await using clone = await open('prisma')
      const { project, url } = clone
      const config = new URL('./prisma/prisma.config.mjs', import.meta.url)
      await project.write('prisma.config.mjs', await readFile(config, 'utf8'))
      const head = `generator client {\n  provider = "prisma-client-js"\n  engineType = "client"\n  output = "./client"\n}
datasource db {\n  provider = "postgresql"\n  url = env("DATABASE_URL")\n}\n`
      await project.write('schema.prisma', head)
      await project.run('prisma', 'db', 'pull')
      const pulled = await readFile(join(project.directory, 'schema.prisma'), 'utf8')
      expect(pulled).toContain('model film {')
      // What is there counts as the first migration, as Prisma's manual has it for a database that is older than its migrations.
      const from = [
        'migrate',
        'diff',
        '--from-empty',
        '--to-schema-datamodel',
        'schema.prisma',
        '--script',
        '--output',
        'initial.sql',
      ]
      await project.run('prisma', ...from)
      const initial = await readFile(join(project.directory, 'initial.sql'), 'utf8')
      await project.write('migrations/migration_lock.toml', 'provider = "postgresql"\n')
      await project.write('migrations/0_initial/migration.sql', initial)
      await project.run('prisma', 'migrate', 'resolve', '--applied', '0_initial')

      await project.write(
        'schema.prisma',
        `${pulled}\nmodel studio {\n  id Int @id @default(autoincrement())\n  name String @unique\n}\n`,
      )
      // Over an adapter this command leaves a connection open, and waits for it.
      const inSync = 'Your database is now in sync'
      await project.runUntil(inSync, 'prisma', 'migrate', 'dev', '--name', 'studio', '--skip-generate')
      await query(url, `INSERT INTO studio (name) VALUES ('one')`)
      expect(await query(url, `SELECT count(*)::int AS n FROM pg_database WHERE datname LIKE 'prisma%'`)).toEqual([
        { n: 0 },
      ])

      await project.write('migrations/99990101000000_every_kind/migration.sql', EVERY_KIND)
      await project.write('migrations/99990101000001_index/migration.sql', CONCURRENTLY)
      expect(await project.run('prisma', 'migrate', 'deploy')).toContain('successfully applied')
      expect(await query(url, IS_DONE)).toEqual([DONE])
    },
  )
})
