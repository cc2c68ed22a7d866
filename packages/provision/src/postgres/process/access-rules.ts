import { ProvisionError } from '../../errors.ts'
import { assertLoginName, LAB_ROLE } from '../names.ts'

const MAP = 'lab'

export interface AccessOptions {
  major: number
  tls: boolean
  /** Its members come in as the users do. */
  usersRole?: string | undefined
  /** What the lab comes as: its own role, if left out. */
  superuser?: string | undefined
  /** Nobody comes in. */
  closed?: boolean | undefined
}

/**
 * Who may come in, as pg_hba.conf (PostgreSQL manual, "The pg_hba.conf File"): the lab's own role over the socket, by the operating
 * system's word for who is calling; the given users over TCP with SCRAM; nobody else, and nobody without proof.
 *
 * @throws ProvisionError INVALID for a name that can't be a user of a clone
 */
export function hbaRules(users: readonly string[], options: AccessOptions): string {
  for (const user of users) assertLoginName(user)
  if (/[\n\r\0]/.test(options.superuser ?? ''))
    throw new ProvisionError('INVALID', "the name of the data's superuser has a line break or a zero byte")
  // Given a certificate, a password and the data after it never cross the network in the clear.
  const type = options.tls ? 'hostssl' : 'host'
  return [
    ...(options.closed ? [] : [`local all ${hbaName(options.superuser ?? LAB_ROLE, options.major)} peer map=${MAP}`]),
    'local all all reject',
    'local replication all reject',
    ...users.map((user) => `${type} all ${hbaName(user, options.major)} all scram-sha-256`),
    // Outside the quotes, or it would be a part of the name.
    ...(options.usersRole === undefined
      ? []
      : [`${type} all +${hbaName(options.usersRole, options.major)} all scram-sha-256`]),
    'host all all all reject',
    'host replication all all reject',
    '',
  ].join('\n')
}

/** Which account of the operating system is the lab. */
export function identMap(
  labUser: string,
  { superuser = LAB_ROLE, major }: Pick<AccessOptions, 'superuser' | 'major'>,
): string {
  if (/["\n\r]/.test(labUser))
    throw new ProvisionError('INVALID', "the name of the server process's account has a quote or a line break")
  return `${MAP} "${labUser}" ${hbaName(superuser, major)}\n`
}

/**
 * One role, and no other, in the user field. In double quotes, of which inner ones are doubled, words like `all` and the prefixes `+`
 * and `@` mean nothing. A leading slash still does: since PostgreSQL 16 what follows it is a regular expression, quoted or not.
 */
export function hbaName(name: string, major: number): string {
  const text =
    name.startsWith('/') && major >= 16
      ? `/^${[...name].map((character) => (/[A-Za-z0-9_]|[^\x20-\x7e]/.test(character) ? character : `\\${character}`)).join('')}$`
      : name
  return `"${text.replaceAll('"', '""')}"`
}
