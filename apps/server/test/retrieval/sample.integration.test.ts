import { createImportRole, prepareBase } from '@dblab/provision'
import { describe, expect, test } from 'vitest'
import { fillSample } from '../../src/retrieval/sample/sample.ts'
import { binariesUnderTest, type Cluster, startCluster } from './cluster.ts'

async function freshCluster(binaries: Parameters<typeof startCluster>[0]): Promise<Cluster> {
  const cluster = await startCluster(binaries)
  await createImportRole(cluster.instance)
  return cluster
}

const installations = await binariesUnderTest()

describe.each(installations)('the sample database on PostgreSQL $version ($source)', (binaries) => {
  test('is made with every kind of object, valid keys and statistics', async () => {
    await using cluster = await freshCluster(binaries)
    const steps: string[] = []
    const result = await fillSample(cluster.instance, { scale: 0.001, onProgress: ({ step }) => steps.push(step) })
    expect(result).toEqual({ database: 'shop', tables: 12 })
    expect(new Set(steps)).toEqual(new Set(['prepare', 'restore', 'finish']))
    const kinds = await cluster.query<{ kind: string; n: number }>(
      'shop',
      `SELECT relkind::text AS kind, count(*)::int AS n FROM pg_class WHERE relnamespace = 'public'::regnamespace GROUP BY 1`,
    )
    const count = Object.fromEntries(kinds.map(({ kind, n }) => [kind, n]))
    expect(count).toMatchObject({ r: 11, p: 1, v: 1, m: 1 })
    const [keys] = await cluster.query<{ valid: number; invalid: number }>(
      'shop',
      `SELECT count(*) FILTER (WHERE convalidated)::int AS valid, count(*) FILTER (WHERE NOT convalidated)::int AS invalid
       FROM pg_constraint WHERE contype = 'f' AND conparentid = 0`,
    )
    expect(keys).toEqual({ valid: 9, invalid: 0 })
    const unknown = await cluster.query(
      'shop',
      `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm') AND reltuples < 0`,
    )
    expect(unknown).toEqual([])
    const empty = await cluster.query<{ n: number }>(
      'shop',
      `SELECT (SELECT count(*)::int FROM public.orders) AS n, (SELECT count(*)::int FROM public.monthly_sales) AS sales`,
    )
    expect(empty[0]?.n).toBe(330)
    expect(empty[0]).not.toMatchObject({ sales: 0 })
  })

  // What follows does not hang on the version of the server.
  if (binaries !== installations[0]) return

  test('can be made a base of: then it all belongs to the role that users are members of', async () => {
    await using cluster = await freshCluster(binaries)
    const { database } = await fillSample(cluster.instance, { scale: 0.0001 })
    await prepareBase(cluster.instance, { database })
    const owners = await cluster.query(
      'shop',
      `SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
    )
    expect(owners).toEqual([{ owner: 'dblab_owner' }])
  })

  test('takes the next id after those that are there', async () => {
    await using cluster = await freshCluster(binaries)
    await fillSample(cluster.instance, { scale: 0.0001 })
    const [row] = await cluster.query<{ id: number }>(
      'shop',
      `INSERT INTO public.customers (name, email, address) VALUES ('New', 'new@example.com', '{}') RETURNING id`,
    )
    expect(row?.id).toBe(21)
  })

  test('is the same whenever it is made', async () => {
    const digests = []
    for (let run = 0; run < 2; run++) {
      await using cluster = await freshCluster(binaries)
      await fillSample(cluster.instance, { scale: 0.0005 })
      const sql = `SELECT md5(string_agg(t::text, '' ORDER BY id)) AS digest FROM public.`
      digests.push([await cluster.query('shop', `${sql}orders t`), await cluster.query('shop', `${sql}events t`)])
    }
    expect(digests[0]).toEqual(digests[1])
  })

  test('is stopped on request', async () => {
    await using cluster = await freshCluster(binaries)
    const controller = new AbortController()
    const onProgress = ({ step }: { step: string }) => step === 'restore' && controller.abort()
    const filling = fillSample(cluster.instance, { scale: 0.2, signal: controller.signal, onProgress })
    await expect(filling).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('goes into no database that exists', async () => {
    await using cluster = await freshCluster(binaries)
    const filling = fillSample(cluster.instance, { database: 'postgres' })
    await expect(filling).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
  })
})

describe.runIf(process.env.DBLAB_LONG_TESTS === '1')(
  'the sample database at full size (skipped but in test:long)',
  () => {
    test.each(installations)('on PostgreSQL $version ($source)', async (binaries) => {
      await using cluster = await freshCluster(binaries)
      const began = performance.now()
      await fillSample(cluster.instance)
      const seconds = (performance.now() - began) / 1000
      const [size] = await cluster.query<{ mb: number }>('shop', `SELECT (pg_database_size('shop') / 1e6)::int AS mb`)
      console.log(`sample at full size: ${size?.mb} MB in ${seconds.toFixed(1)} s on PostgreSQL ${binaries.version}`)
      expect(size?.mb).toBeGreaterThan(200)
    })
  },
)
