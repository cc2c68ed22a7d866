import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Cluster } from '../cluster.ts'
import { majorsUnderTest, mask, maskableCluster, shopWith } from './world.ts'

const majors = await majorsUnderTest()
const [, binaries] = majors

async function script(cluster: Cluster, text: string): Promise<{ files: { path: string }[] }> {
  const path = join(cluster.directory, 'mask.sql')
  await writeFile(path, text)
  return { files: [{ path }] }
}

const sleeping = `select 1 from pg_stat_activity where query ~ 'pg_sleep' and pid <> pg_backend_pid()`

async function untilAsleep(cluster: Cluster): Promise<void> {
  await expect.poll(() => cluster.query('postgres', sleeping), { timeout: 20_000 }).not.toEqual([])
}

describe.skipIf(!binaries)('a masking file', () => {
  test('runs in its database, in order, with the triggers and the search path of the data, and before the rules', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, ['create table t (a text)', `insert into t values ('one')`])
    const first = join(cluster.directory, 'first.sql')
    const second = join(cluster.directory, 'second.sql')
    await writeFile(first, `begin; update t set a = a || '-first'; commit; create table made as select 1 as id;`)
    await writeFile(second, `do $$ begin execute 'update t set a = a || ''-second'''; end $$; -- the end`)
    const steps: string[] = []
    await mask(
      cluster,
      {
        files: [{ path: first }, { path: second, database: 'shop' }],
        rules: [{ table: 'public.made', column: 'id', hash: true }],
      },
      { onProgress: ({ step, name, done, total }) => steps.push(`${step} ${name} ${done}/${total}`) },
    )
    expect(await cluster.query('shop', 'select a from public.t')).toEqual([{ a: 'one-first-second' }])
    expect(await cluster.query('shop', 'select id from public.made')).not.toEqual([{ id: 1 }])
    const [owner] = await cluster.query(
      'shop',
      `select pg_get_userbyid(relowner) as name from pg_class where relname = 'made'`,
    )
    expect(owner).toEqual({ name: 'dblab_import' })
    expect(steps.slice(0, 3)).toEqual([`file ${first} 0/2`, `file ${second} 1/2`, 'rules shop: public.made 0/1'])
  })

  const wrong: readonly (readonly [string, string, RegExp])[] = [
    [
      'has a failing statement',
      `update t set a = 'x';\nselect *\nfrom nowhere;\nselect 1;`,
      /mask\.sql:3: relation "nowhere" does not exist/,
    ],
    ['breaks a constraint', `insert into t values ('secret-a');`, /mask\.sql: duplicate key/],
    ['quotes a value in its error', `select a::int from t;`, /mask\.sql: SQLSTATE 22P02/],
    [
      'makes a statement of a value',
      `do $$ begin execute 'select ' || quote_ident((select a from t)); end $$`,
      /SQLSTATE 42703/,
    ],
    [
      'raises what it met',
      `do $$ begin raise exception using errcode = '23505', message = (select a from t); end $$`,
      /SQLSTATE 23505/,
    ],
    ['ends inside a transaction', 'begin; update t set a = a;', /ends inside a transaction/],
    ['ends inside a text', `update t set a = 'x;`, /unterminated quoted string/],
    ['ends inside a body', `do $$ begin null; end`, /unterminated dollar-quoted string/],
    ['ends inside a comment', '/* update t', /unterminated \/\* comment/],
    ['ends early', `\\q\nupdate t set a = 'x';`, /syntax error at or near "\\"/],
    ['tolerates errors', `\\set ON_ERROR_STOP off\nselect 1;`, /syntax error at or near "\\"/],
    ['runs programs', `\\! touch /tmp/dblab-masking-was-here\n`, /syntax error at or near "\\"/],
    ['brings its own data', 'copy t from stdin;', /COPY from stdin failed/],
    ['rolls back on an error of its own', 'begin; select 1/0; commit; select 1;', /SQLSTATE 22012/],
  ]

  test('that is wrong fails the masking at its line, and shows no value', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, ['create table t (a text primary key)', `insert into t values ('secret-a')`])
    for (const [what, text, message] of wrong) {
      const error = await mask(cluster, await script(cluster, text)).catch((reason: unknown) => reason)
      expect(error, what).toMatchObject({ code: 'FAILED', message: expect.stringMatching(message) })
      expect(JSON.stringify(error) + String(error) + String((error as Error).cause)).not.toContain('secret-')
    }
    expect(await cluster.query('shop', 'select a from public.t')).toEqual([{ a: 'secret-a' }])
    expect(await cluster.log()).not.toContain('secret-')
  })

  test('that makes a database has that masked too', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, ['create table t (a text)', `insert into t values ('x')`])
    const given = await script(cluster, 'create database copy template shop;')
    await mask(cluster, { ...given, rules: [{ table: 'public.t', column: 'a', null: true }] })
    for (const database of ['shop', 'copy'])
      expect(await cluster.query(database, 'select a from public.t')).toEqual([{ a: null }])
  })

  test('for a database that is not there is refused', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, ['create table t (a text)'])
    const { files } = await script(cluster, 'select 1;')
    const given = { files: files.map((file) => ({ ...file, database: 'nowhere' })) }
    await expect(mask(cluster, given)).rejects.toMatchObject({ code: 'INVALID', hint: expect.stringContaining('shop') })
  })

  test('that takes too long is stopped, with its query', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, ['create table t (a text)'])
    const masking = mask(cluster, { ...(await script(cluster, 'select pg_sleep(600);')), timeoutSeconds: 3 })
    await expect(masking).rejects.toMatchObject({ code: 'TIMEOUT', hint: expect.stringContaining('timeoutSeconds') })
    await expect.poll(() => cluster.query('postgres', sleeping), { timeout: 10_000 }).toEqual([])
  })

  test('is stopped on request, with its query', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, ['create table t (a text)'])
    const controller = new AbortController()
    const given = await script(cluster, 'select pg_sleep(600);')
    const refused = expect(mask(cluster, given, { signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    })
    await untilAsleep(cluster)
    controller.abort()
    await refused
    await expect.poll(() => cluster.query('postgres', sleeping), { timeout: 10_000 }).toEqual([])
  })
})

describe.each(majors)('a crash of PostgreSQL $version', (each) => {
  test('in the middle of a file fails the masking', async () => {
    await using cluster = await maskableCluster(each)
    await shopWith(cluster, ['create table t (a text)'])
    const given = await script(cluster, 'select pg_sleep(600);')
    const refused = expect(mask(cluster, given)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await untilAsleep(cluster)
    const [backend] = await cluster.query<{ pid: number }>('postgres', sleeping.replace('1', 'pid'))
    process.kill(backend?.pid ?? 0, 'SIGKILL')
    await refused
  })

  test('at each table that is masked or written anew fails the masking', async () => {
    for (const step of ['rules', 'scrub'] as const) {
      await using cluster = await maskableCluster(each)
      await shopWith(cluster, [
        'create table t (a text)',
        `insert into t select 'v' || i from generate_series(1, 200000) i`,
      ])
      const onProgress = (progress: { step: string }): void => {
        if (progress.step === step) process.kill(cluster.instance.pid ?? 0, 'SIGKILL')
      }
      const rules = [{ table: 'public.t', column: 'a', fake: 'email' }]
      await expect(mask(cluster, { rules }, { onProgress })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    }
  })
})
