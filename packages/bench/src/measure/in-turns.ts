type Sides = Record<string, () => Promise<unknown>>

/** What each side gave, one value a turn, without those of the warm-up. */
type Given<S extends Sides> = { [Name in keyof S]: Awaited<ReturnType<S[Name]>>[] }

/**
 * Has the sides do their work in turns, so that whatever else the machine does hits all alike; every other turn begins at the other end (ABBA),
 * so that none is always the one that comes after another.
 *
 * @param turns how many of them count
 * @param warmUp how many before them do not
 * @throws what a side throws
 */
export async function inTurns<S extends Sides>(turns: number, sides: S, warmUp = 2): Promise<Given<S>> {
  const names: (keyof S)[] = Object.keys(sides)
  const given = Object.fromEntries(names.map((name) => [name, []])) as unknown as Given<S>
  for (let turn = -warmUp; turn < turns; turn++) {
    for (const name of turn % 2 === 0 ? names : names.toReversed()) {
      const value = await sides[name]?.()
      if (turn >= 0) given[name].push(value as Given<S>[keyof S][number])
    }
  }
  return given
}
