import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { escapeIdentifier } from 'pg'
import { ProvisionError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'
import type { PostgresBinaries } from '../binaries.ts'
import { LAB_DATABASE, LAB_ROLE } from '../names.ts'
import type { Account } from '../runtime.ts'
import { spaceError } from '../space.ts'
import { runSingleUser } from './single-user.ts'

/** It writes some forty megabytes, and flushes them: seconds, but for a disk that is worked to death. */
const TIMEOUT_MS = 10 * 60_000
/** C.UTF-8 knows the letters of all languages; machines that lack it have C. */
const LOCALES = ['C.UTF-8', 'C'] as const

/** What anybody could put into older ones' template1 would be in each database made later. https://www.postgresql.org/docs/release/15.0/ */
const PUBLIC_IS_CLOSED_SINCE = 15
/** As it is since then. */
const CLOSE_PUBLIC = [
  'alter schema public owner to pg_database_owner',
  'revoke create on schema public from public',
] as const

/**
 * Makes an empty directory a cluster whose bootstrap superuser is the lab's role, without a password: nobody can log in as it but over
 * the socket. On disk when this resolves; after a failure the directory is empty again.
 */
export async function initialiseCluster(
  dataDir: string,
  binaries: PostgresBinaries,
  account: Account,
  signal: AbortSignal | undefined,
): Promise<void> {
  if ((await readdir(dataDir)).length > 0) {
    throw new ProvisionError('ALREADY_EXISTS', `${dataDir} is not empty`, {
      hint: 'A cluster is made in an empty directory.',
    })
  }
  for (const locale of LOCALES) {
    try {
      await initdb(dataDir, binaries, account, locale, signal)
      await makeLabDatabase(dataDir, binaries, account, signal)
      return
    } catch (error) {
      await empty(dataDir, account)
      if (!(error instanceof CommandError)) throw error
      if (locale !== LOCALES.at(-1) && error.stderr.includes('invalid locale name')) continue
      const noSpace = spaceError(error.stderr.split('\n'), error)
      if (noSpace) throw noSpace
      throw new ProvisionError('FAILED', `a new cluster could not be made: ${error.stderr.trim().slice(-2000)}`, {
        cause: error,
      })
    }
  }
}

async function initdb(
  dataDir: string,
  { binDir, major }: PostgresBinaries,
  account: Account,
  locale: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  await run(
    [
      join(binDir, 'initdb'),
      ...[
        '-D',
        dataDir,
        '-U',
        LAB_ROLE,
        '--encoding=UTF8',
        `--locale=${locale}`,
        '--data-checksums',
        '--no-instructions',
      ],
      // Built into Postgres: the same order of words on every machine that the data is moved to.
      ...(major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : []),
      // The files that this is written into are not used: the runtime brings its own rules.
      '--auth=reject',
    ],
    {
      cwd: dataDir,
      timeoutMs: TIMEOUT_MS,
      env: { TZ: 'UTC' },
      ...(process.getuid?.() === 0 && { account }),
      signal,
    },
  )
}

/** Before there is a server to connect to: whoever brings data in finds the lab's database there. */
async function makeLabDatabase(
  dataDir: string,
  binaries: PostgresBinaries,
  account: Account,
  signal: AbortSignal | undefined,
): Promise<void> {
  const name = escapeIdentifier(LAB_DATABASE)
  const make = [
    `create database ${name} owner ${escapeIdentifier(LAB_ROLE)} template template0`,
    `revoke all on database ${name} from public`,
  ]
  const close = binaries.major < PUBLIC_IS_CLOSED_SINCE ? CLOSE_PUBLIC : []
  const settings = {}
  const statements = [...make, ...close]
  await runSingleUser(dataDir, { database: 'template1', statements, settings }, binaries, account, signal)
  if (close.length === 0) return
  await runSingleUser(dataDir, { database: 'postgres', statements: close, settings }, binaries, account, signal)
}

/** By the hand of the account that owns it, and can put a link in its place at any moment: it has nothing to gain. */
async function empty(directory: string, account: Account): Promise<void> {
  const paths = (await readdir(directory)).map((name) => join(directory, name))
  if (paths.length > 0) await run(['rm', '-rf', '--', ...paths], { ...(process.getuid?.() === 0 && { account }) })
}
