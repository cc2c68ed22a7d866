import { ProvisionError } from '@dblab/provision'
import type { ToolMessages } from '../tools/tool-messages.ts'
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

/** What libpq says of a connection that broke or was ended: src/interfaces/libpq/fe-misc.c, src/backend/tcop/postgres.c */
const LOST =
  /server closed the connection|connection to server .* failed|terminating connection|could not (receive|send|read) (data|COPY)|could not read COPY data|SSL SYSCALL|Connection (timed out|reset|refused)|no connection to the server|canceling statement due to conflict|shutting down|starting up|unexpected termination of replication stream/i

/** What the system says of a disk without room, or of a used up quota. */
export const NO_ROOM = /No space left on device|Disk quota exceeded/i

/** In capitals: tools tell of themselves as `error:`. */
const ROOM_OF_SOURCE = new RegExp(`ERROR:.*(?:${NO_ROOM.source})`)

/**
 * What a tool says of a part of itself that has ended, without a word where that was killed: src/bin/pg_dump/parallel.c,
 * src/bin/pg_basebackup/pg_basebackup.c
 */
const PART_LOST =
  /^(a worker process died unexpectedly|background process terminated unexpectedly|child process was terminated by signal .*)$/

/** A tool tells of a server that went away, or of a part of itself that did, and of nothing that was wrong before. */
export function isLost(messages: ToolMessages): boolean {
  return messages.say(LOST) || PART_LOST.test(messages.summary())
}

/** Undefined where no lack of room has ended it. Whose room it is: the server's own words, which come from the source, stand behind "ERROR:". */
export function noSpaceError(messages: ToolMessages, what: string, hint: string): ProvisionError | undefined {
  if (messages.say(ROOM_OF_SOURCE)) {
    return new ProvisionError('FAILED', `the disk of the source is full: ${what}`, { hint: 'Make room there.' })
  }
  if (!messages.say(NO_ROOM)) return undefined
  return new ProvisionError('NO_SPACE', what, { hint })
}
