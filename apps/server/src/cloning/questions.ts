/** How many are asked in one go: a question costs a clone's Postgres a process. */
const MOST_AT_ONCE = 5
/** Between two questions to the same clone. */
const EVERY_MS = 25_000

/** Which clones are to be asked next whether they answer: those that were not asked for the longest, a few at a time, so that hundreds are not asked in one go. */
export class Questions {
  readonly #dueAt = new Map<string, number>()

  /**
   * @param ids of all that may be asked now; what is known of others is forgotten
   * @param now milliseconds
   */
  next(ids: readonly string[], now = Date.now()): string[] {
    const there = new Set(ids)
    for (const id of this.#dueAt.keys()) if (!there.has(id)) this.#dueAt.delete(id)
    const dueAt = (id: string) => this.#dueAt.get(id) ?? 0
    const due = ids.filter((id) => dueAt(id) <= now)
    const chosen = due.toSorted((a, b) => dueAt(a) - dueAt(b)).slice(0, MOST_AT_ONCE)
    for (const id of chosen) this.#dueAt.set(id, now + EVERY_MS)
    return chosen
  }
}
