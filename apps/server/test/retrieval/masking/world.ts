import { findBinaries, type PostgresBinaries } from '@dblab/provision'
import { npmBinaries } from '@dblab/provision/testbed'
import { maskingSchema } from '../../../src/config/masking.ts'
import { type MaskOptions, type MaskResult, maskCluster } from '../../../src/retrieval/masking/masking.ts'
import { type Masking, prepareMasking } from '../../../src/retrieval/masking/prepare.ts'
import { binariesUnderTest, type Cluster, startCluster } from '../cluster.ts'

/** What a base has while it is filled, as far as masking hangs on it. */
const SETTINGS = { wal_recycle: 'off', wal_init_zero: 'on', wal_keep_size: '0', autovacuum: 'off' }

const env = { MASKING_SECRET: 'for the tests of masking, and for nothing else' }

/** The oldest major, where npm has it; and the two that users have. */
export async function majorsUnderTest(): Promise<PostgresBinaries[]> {
  const oldest = npmBinaries(14)
  const found = await findBinaries({ configured: oldest ? [oldest] : [], embedded: false, system: false })
  return [...found.usable, ...(await binariesUnderTest())]
}

export function maskableCluster(binaries: PostgresBinaries | undefined): Promise<Cluster> {
  if (!binaries) throw new Error('there is no PostgreSQL here')
  return startCluster(binaries, SETTINGS)
}

export type Written = Record<string, unknown>

/** As the configuration has it, with the tests' secret; nothing is looked for unless `coverage` says so. */
export function masking(given: Written): Promise<Masking> {
  const config = maskingSchema.parse({ secretEnv: 'MASKING_SECRET', coverage: { mode: 'off' }, ...given })
  return prepareMasking(config, (name) => (name === 'MASKING_SECRET' ? env.MASKING_SECRET : undefined))
}

export async function mask(
  { instance, account }: Cluster,
  given: Written,
  options: Partial<MaskOptions> = {},
): Promise<MaskResult> {
  return maskCluster({ instance, account, database: 'shop', masking: await masking(given), ...options })
}

/** The secret, and what Postgres is given of it. */
export async function keysUnderTest(): Promise<(string | Buffer)[]> {
  const { keys } = await masking({})
  return [env.MASKING_SECRET, ...Object.values(keys ?? {})]
}

/** A database `shop` with these statements run in it. */
export async function shopWith(cluster: Cluster, statements: readonly string[], options = ''): Promise<void> {
  await cluster.query('postgres', `create database shop template template0 ${options}`)
  for (const statement of statements) await cluster.query('shop', `set search_path = public; ${statement}`)
}
