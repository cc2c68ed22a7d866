import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The Pagila sample database as a plain dump: real data, which is not part of the repository. */
export const pagilaFile =
  process.env.PAGILA_SQL ?? fileURLToPath(new URL('../../../../../shared/data/pagila.sql', import.meta.url))

/** Why its tests can't run; undefined when they can. Where drivers are required, so is this. */
export const pagilaMissing =
  existsSync(pagilaFile) || process.env.REQUIRED_DRIVERS
    ? undefined
    : 'pagila.sql is not beside the repository (or in PAGILA_SQL)'
