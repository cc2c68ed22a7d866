import type { LabEventType } from '@dblab/models'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { isUnreachableCatalogue } from '../errors.ts'
import type { EventHub, Told } from '../events/event-hub.ts'
import { EventReader } from '../events/event-reader.ts'
import type { OpenStreams } from '../events/open-streams.ts'
import { type Caller, owns } from './caller.ts'
import { mayCall } from './roles.ts'
import { statusOf } from './tokens.ts'

export interface EventFilter {
  /** Undefined for all. */
  types?: readonly LabEventType[] | undefined
  /** What is about this clone alone: itself, and snapshots that were taken of it. */
  clone?: string | undefined
}

/** What happens, as far as one caller may see it: of each thing as much as where it is listed. */
export class CallerEvents {
  readonly #hub: EventHub
  readonly #streams: OpenStreams
  readonly #catalogue: Catalogue
  readonly #caller: Caller

  constructor({ hub, streams }: { hub: EventHub; streams: OpenStreams }, catalogue: Catalogue, caller: Caller) {
    this.#hub = hub
    this.#streams = streams
    this.#catalogue = catalogue
    this.#caller = caller
  }

  /**
   * To be disposed of.
   *
   * @throws LabError TOO_BUSY when too many are open
   */
  open({ types, clone }: EventFilter, lastEventId: string | undefined): EventReader {
    const { tokenId } = this.#caller
    const expiresAt = tokenId === null ? undefined : this.#catalogue.tokens.get(tokenId)?.expiresAt
    return new EventReader({
      hub: this.#hub,
      place: this.#streams.enter(this.#caller),
      wants: (event) =>
        (types === undefined || types.includes(event.type)) &&
        (clone === undefined || event.clone === clone) &&
        this.#maySee(event),
      mayGoOn: () => this.#isTaken(),
      endsAt: expiresAt ? Date.parse(expiresAt) : undefined,
      lastEventId,
    })
  }

  #maySee({ type, owner }: Told): boolean {
    if (type === 'clone') return owns(this.#caller, { tokenId: owner ?? null })
    if (type === 'snapshot') return mayCall(this.#caller.role, 'SnapshotList')
    return mayCall(this.#caller.role, 'RetrievalGet')
  }

  /** A token that was revoked or has expired since, or is not known any more, is refused now. */
  #isTaken(): boolean {
    const { tokenId } = this.#caller
    if (tokenId === null) return true
    try {
      const token = this.#catalogue.tokens.get(tokenId)
      return token !== undefined && statusOf(token) === 'ACTIVE'
    } catch (error) {
      // Whoever comes back is told so.
      if (isUnreachableCatalogue(error)) return false
      throw error
    }
  }
}
