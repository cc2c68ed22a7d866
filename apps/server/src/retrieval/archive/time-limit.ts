import { isProvisionError, ProvisionError } from '@dblab/provision'

/**
 * Work that is stopped when its time is over.
 *
 * @throws ProvisionError TIMEOUT
 */
export async function withinTime<T>(
  what: string,
  timeoutMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = AbortSignal.timeout(timeoutMs)
  try {
    return await work(AbortSignal.any([signal, over]))
  } catch (error) {
    if (!over.aborted || signal.aborted || !isProvisionError(error, 'ABORTED')) throw error
    throw new ProvisionError('TIMEOUT', `${what} did not end in ${timeoutMs / 60_000} minutes, and was stopped`, {
      cause: error,
      hint: 'If it was at work, give it more (timeoutMinutes); else see what it waits for.',
    })
  }
}
