import { isProvisionError, ProvisionError } from '../errors.ts'

/** Where the system's words stand in a message: at its end. What a client has said stands within quotes, and may be anything. */
const QUOTA = /: Disk quota exceeded\.?$/
const FULL = /: No space left on device\.?$/
/** The same errno says that the kernel has no more of these (semget(2), shmget(2)), or that /dev/shm is full: no disk is. */
const NOT_A_DISK = /semaphore|shared memory/i
/** How Postgres begins what comes after a line break within a message, such as one in the name that a client gave. */
const GOES_ON = /^\s/

/** True where a whole message of Postgres' log, or an error of it, says that a disk or a quota had no room. */
function saysNoSpace(message: string): boolean {
  return (FULL.test(message) || QUOTA.test(message)) && !NOT_A_DISK.test(message)
}

/** The lines of a log as messages, without what is left of one that began before. */
function messagesOf(lines: readonly string[]): string[] {
  const messages: string[] = []
  for (const line of lines) {
    if (!GOES_ON.test(line)) messages.push(line)
    else if (messages.length > 0) messages.push(`${messages.pop()}\n${line}`)
  }
  return messages
}

/**
 * What Postgres says of a lack of space as an error that names the disk; undefined when it says nothing of the kind.
 *
 * @param words the lines of its log, or the message of an error
 */
export function spaceError(words: readonly string[], cause?: unknown): ProvisionError | undefined {
  const message = messagesOf(words).findLast(saysNoSpace)
  if (message === undefined) return undefined
  const reason = /(?:PANIC|FATAL|ERROR|LOG|WARNING): +(.*)/.exec(message)?.[1] ?? message.trim()
  if (QUOTA.test(message)) {
    return new ProvisionError('NO_SPACE', `the disk quota of this volume is used up; Postgres says: ${reason}`, {
      cause,
      hint: 'Reset or delete the clone, delete snapshots of it, or raise its quota.',
    })
  }
  // Postgres names the files of a cluster from its data directory on; what it names in full lies elsewhere.
  const where = /"(\/[^"]+)"/.exec(reason)?.[1]
  const disk = where === undefined ? 'the pool' : `the disk of ${where}`
  return new ProvisionError('NO_SPACE', `${disk} has no space left; Postgres says: ${reason}`, {
    cause,
    hint:
      where === undefined
        ? 'Delete clones or snapshots that nobody uses, or make the pool larger.'
        : 'Make room on that disk.',
  })
}

/**
 * Does work with a Postgres that a lack of space can end under it: what then fails is a lost connection, and only the log has the reason.
 *
 * @param logs the last lines of its log
 * @throws ProvisionError NO_SPACE where the log, since the work began, says so; else what the work throws
 */
export async function noticingSpace<T>(logs: (lines: number) => Promise<string[]>, work: () => Promise<T>): Promise<T> {
  const [seen] = await logs(1)
  try {
    return await work()
  } catch (error) {
    if (isProvisionError(error, 'NO_SPACE', 'ABORTED', 'INVALID')) throw error
    const lines = await logs(LOG_LINES)
    const since = seen === undefined ? lines : lines.slice(lines.lastIndexOf(seen) + 1)
    throw spaceError(since, error) ?? error
  }
}

/** A failed start and the attempts to recover from it write some tens of lines. */
const LOG_LINES = 200
