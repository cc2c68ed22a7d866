import type { Retrieval, RetrievalRun } from '@dblab/models'

/**
 * A run as those see it who are no admins: how far it is and how it ended. Where production is, by which role it is read, and what it answered is
 * not for everybody who may have a clone.
 */
export function outlineOf({ error, ...run }: RetrievalRun): RetrievalRun {
  return {
    ...run,
    ...{ source: '', log: [] },
    ...(error && { error: { code: error.code, message: 'the admins of the lab see why', hint: '' } }),
  }
}

/** The same of all of GET /retrieval. */
export function outlineOfAll(view: Retrieval): Retrieval {
  const { status, sources, standby, current, runs } = view
  return {
    ...view,
    status: status.code === 'FAILED' ? { ...status, message: 'The last refresh failed' } : status,
    sources: sources.map(({ kind }) => ({ kind, description: '' })),
    ...(standby && { standby: { ...standby, status: { ...standby.status, message: '' } } }),
    ...(current && { current: outlineOf(current) }),
    runs: runs.map(outlineOf),
  }
}
