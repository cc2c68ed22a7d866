import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const named = process.env.PAGILA_SQL || undefined

/** The Pagila sample database as a plain dump: real data, which is not part of the repository. */
export const pagilaFile = named ?? fileURLToPath(new URL('../../../../shared/data/pagila.sql', import.meta.url))

/** Why its tests can't run; undefined when they can. A file that is named has to be there. */
export const pagilaMissing =
  existsSync(pagilaFile) || named !== undefined
    ? undefined
    : 'pagila.sql is not beside the repository, and PAGILA_SQL names none'
