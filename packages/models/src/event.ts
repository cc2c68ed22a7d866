import type { Clone } from './clone.ts'
import type { RetrievalRun } from './retrieval.ts'
import type { Snapshot } from './snapshot.ts'

export type LabEventType = 'clone' | 'snapshot' | 'retrieval' | 'resync'

export type LabEventAction = 'changed' | 'deleted'

/** Something in the lab is another than before. */
export interface LabEvent {
  /** For `Last-Event-ID`: a stream that is opened with it goes on behind this event. */
  id: string
  /**
   * What it is about. `resync`: read everything anew, since earlier changes are not told. Each stream begins with one, unless it goes on
   * behind an event that the server still knows.
   */
  type: LabEventType
  /** changed: it was made, or is another now. deleted: it is gone. */
  action: LabEventAction
  /** When it was told, ISO 8601 in UTC. */
  at: string
  /** The id of what it is about; empty for `resync`. */
  subject: string
  /** The clone as it was then; left out once it is deleted. */
  clone?: Clone
  /** The snapshot as it was then; left out once it is deleted. */
  snapshot?: Snapshot
  /** The run of retrieval as it was then, in outline: GET /retrieval has its source, its log and its reasons, for admins. */
  retrieval?: RetrievalRun
}
