import type { Role, Token } from '@dblab/models'
import { Command, Option } from 'commander'
import { ConfigError, type LoadedConfig } from '../config/load.ts'
import { LabError } from '../errors.ts'
import { readIdentity } from '../lab/identity.ts'
import type { Logger } from '../log.ts'
import { openTokenBook, type TokenBook } from './token-book.ts'

interface CreateOptions {
  name: string
  role: Role
  expires?: string
}

/** `token create|list|revoke`: the lab's tokens, whether its server runs or not. */
export function tokenCommand(load: () => { loaded: LoadedConfig; log: Logger }): Command {
  const withBook = async (work: (book: TokenBook) => Promise<void>) => {
    const { loaded, log } = load()
    await using book = await openTokenBook(loaded, log)
    await work(book)
  }
  const token = new Command('token').description("make, list and revoke the lab's tokens")
  token
    .command('create')
    .description('make a token; its secret is printed once, on standard output alone')
    .requiredOption('--name <name>', 'for people and for the audit log')
    .addOption(
      new Option('--role <role>', 'what it may do').choices(['admin', 'member', 'viewer']).makeOptionMandatory(),
    )
    .option('--expires <when>', 'after a time such as 12h, 90d or 1w, or at one such as 2027-01-31; left out: never')
    .action((options: CreateOptions) => withBook((book) => create(book, options)))
  token
    .command('list')
    .description('list the tokens, without their secrets')
    .action(async () => {
      await requireLab(load().loaded)
      await withBook(list)
    })
  token
    .command('revoke <name-or-id>')
    .description('refuse a token from now on; the clones that were made with it stay')
    .action(async (wanted: string) => {
      await requireLab(load().loaded)
      await withBook((book) => revoke(book, wanted))
    })
  return token
}

async function create(book: TokenBook, { name, role, expires }: CreateOptions): Promise<void> {
  // The API has this check in its document.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name))
    throw new ConfigError('--name: must be 1 to 63 letters, digits, dots, dashes and underscores')
  const expiresAt = expires === undefined ? '' : toTime(expires)
  const made = await book.create({ name, role, expiresAt })
  const until = made.expiresAt ? `until ${made.expiresAt}` : 'without an end'
  process.stderr.write(`Made the token ${made.name} (${made.id}), ${made.role}, ${until}. Shown this once:\n`)
  process.stdout.write(`${made.token}\n`)
}

async function list(book: TokenBook): Promise<void> {
  const header = ['ID', 'NAME', 'ROLE', 'STATUS', 'EXPIRES', 'LAST USED']
  const rows = (await book.list()).map(({ id, name, role, status, expiresAt, lastUsedAt }) => {
    return [id, name, role, status, expiresAt || 'never', lastUsedAt || 'never']
  })
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => row[column]?.length ?? 0)))
  for (const row of [header, ...rows]) {
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    )
  }
}

async function revoke(book: TokenBook, wanted: string): Promise<void> {
  const tokens = await book.list()
  const named = (token: Token) => token.name === wanted && token.status === 'ACTIVE'
  const token = tokens.find(({ id }) => id === wanted) ?? tokens.find(named)
  if (!token) throw new LabError('TOKEN_NOT_FOUND', 'There is no token of this id, and no active one of this name.')
  await book.revoke(token.id)
  process.stdout.write(`Revoked the token ${token.name} (${token.id}). The clones that were made with it stay.\n`)
}

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** A length of time from now on; anything else is for the lab to take as a time, or to refuse. */
function toTime(text: string): string {
  const [, count, unit = ''] = /^(\d+)([smhdw])$/.exec(text) ?? []
  if (count === undefined) return text
  const time = new Date(Date.now() + Number(count) * (UNIT_MS[unit] ?? 0))
  if (Number.isNaN(time.getTime())) throw new ConfigError('--expires: is further away than dates go')
  return time.toISOString()
}

async function requireLab({ config }: LoadedConfig): Promise<void> {
  if (!(await readIdentity(config.dataDir))) throw new ConfigError(`There is no lab in ${config.dataDir}.`)
}
