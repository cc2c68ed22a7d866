import { ProvisionError } from '@dblab/provision'
import { sourceOptions } from './session.ts'

/** Of PostgreSQL's programs that connect to a source. Without a home, libpq looks into the account's for what is not for the lab. */
export function toolEnvironment(passFile: string | undefined): Record<string, string> {
  return {
    ...(passFile !== undefined && { PGPASSFILE: passFile }),
    PGAPPNAME: 'dblab',
    PGCONNECT_TIMEOUT: '15',
    PGGSSENCMODE: 'disable',
    PGOPTIONS: sourceOptions(),
    HOME: '/nonexistent',
  }
}

/**
 * What libpq says of a connection that broke or was ended: src/interfaces/libpq/fe-misc.c, src/backend/tcop/postgres.c; and what a tool says of a part
 * of itself that was killed: src/bin/pg_basebackup/pg_basebackup.c, src/bin/pg_dump/parallel.c
 */
const LOST =
  /background process terminated unexpectedly|child process was terminated by signal|worker process died unexpectedly|server closed the connection|connection to server .* failed|terminating connection|could not (receive|send|read) (data|COPY)|could not read COPY data|SSL SYSCALL|Connection (timed out|reset|refused)|no connection to the server|canceling statement due to conflict|shutting down|starting up|unexpected termination of replication stream/i

/** A tool's summary tells of a source that went away. */
export function isLost(summary: string): boolean {
  return LOST.test(summary)
}

export function isNoSpace(summary: string): boolean {
  return /No space left on device|Disk quota exceeded/i.test(summary)
}

/** Whose disk it is: the server's own words, which come from the source, stand behind "ERROR:". */
export function noSpace(summary: string, what: string, hint: string): ProvisionError {
  if (!/ERROR:/.test(summary)) return new ProvisionError('NO_SPACE', what, { hint })
  return new ProvisionError('FAILED', `the disk of the source is full: ${summary}`, { hint: 'Make room there.' })
}
