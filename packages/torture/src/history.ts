import type { FaultAction } from '@dblab/provision'
import fc from 'fast-check'

/** What a client does next. `slot` and `pick` are taken modulo of what there is. */
export interface Step {
  kind:
    | 'create'
    | 'create-from-snapshot'
    | 'write'
    | 'reset'
    | 'reset-to-snapshot'
    | 'delete'
    | 'patch'
    | 'snapshot'
    | 'base-snapshot'
    | 'delete-snapshot'
    | 'list'
    | 'hold-session'
    | 'kill-postgres'
  slot: number
  pick: number
  /** Goes on without waiting for the end of what the step began. */
  hasty: boolean
}

/** A fault at a fail point, or SIGKILL from outside after so long. */
export type Blow =
  | { from: 'inside'; point: string; action: FaultAction; skip: number }
  | { from: 'outside'; afterMs: number }

/**
 * What happens in a round:
 *
 * - `serve`: the server starts, and clients are at work.
 * - `stop`: the lab is stopped by its command, and started again by the next round.
 * - `restart`: after a stop in good order, the server brings the clones back.
 * - `import`: a dump is brought in.
 * - `grow`: the pool is made larger, and the server started.
 * - `birth`: another lab is made; `death`: and removed.
 */
export const ROUND_KINDS = ['serve', 'stop', 'restart', 'import', 'grow', 'birth', 'death'] as const

export type RoundKind = (typeof ROUND_KINDS)[number]

export interface Round {
  kind: RoundKind
  blow: Blow
  /** One for each client. */
  scripts: Step[][]
}

export type History = Round[]

const CLIENTS = 4

const weighted: [Step['kind'], number][] = [
  ['create', 5],
  ['create-from-snapshot', 3],
  ['write', 6],
  ['reset', 4],
  ['reset-to-snapshot', 2],
  ['delete', 4],
  ['patch', 2],
  ['snapshot', 3],
  ['base-snapshot', 1],
  ['delete-snapshot', 3],
  ['list', 1],
  ['hold-session', 1],
  ['kill-postgres', 1],
]

export const STEP_KINDS: readonly Step['kind'][] = weighted.map(([kind]) => kind)

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.oneof(...weighted.map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind) }))),
  slot: fc.nat(1),
  pick: fc.nat(7),
  hasty: fc.boolean(),
})

const scripts = fc.array(fc.array(step, { minLength: 2, maxLength: 8, size: 'max' }), {
  minLength: CLIENTS,
  maxLength: CLIENTS,
})

/** For a client of its own: comes to every step that clients can cause. */
const EVERYTHING: Step[] = (
  ['create', 'write', 'snapshot', 'create-from-snapshot', 'reset', 'delete', 'delete', 'delete-snapshot'] as const
).map((kind, index) => ({ kind, slot: kind === 'create-from-snapshot' || index === 6 ? 1 : 0, pick: 0, hasty: false }))

/** Which kind of round comes to a point. */
export function kindFor(point: string): RoundKind {
  const operation = point.split('.')[0] ?? ''
  if (/^(before|after) (umount|losetup --detach)$/.test(point)) return 'stop'
  if (/ (btrfs filesystem resize|btrfs quota \w+|losetup --set-capacity)$/.test(point)) return 'grow'
  if (point === 'pool.file-grown') return 'grow'
  if (/ mkfs.btrfs$/.test(point) || /^pool\.(file-made|formatted|linked)$/.test(point)) return 'birth'
  if (['storage.root-made', 'start.storage-noted', 'start.catalogue-made'].includes(point)) return 'birth'
  if (operation === 'pool') return 'restart'
  if (/ (losetup --find|mount|zfs mount)$/.test(point)) return 'restart'
  if (operation === 'destroy') return 'death'
  if (operation === 'restart') return 'restart'
  if (operation === 'import' || / (btrfs subvolume create|zfs create|zfs set)$/.test(point)) return 'import'
  return 'serve'
}

const SERVING = ['restart', 'import', 'grow'] as const
/** They end by themselves, and soon: the sooner SIGKILL comes, the likelier it is to find them at work. */
const SHORT = ['stop', 'birth', 'death'] as const

function outside(longestMs: number): fc.Arbitrary<Round> {
  // Earlier than that, a process only loads its modules. And at any time as likely as at any other: fast-check likes the ends of a range.
  const min = Math.round(longestMs / 10)
  const afterMs = (max: number) => fc.noBias(fc.integer({ min, max }))
  const round = (kind: RoundKind, max: number) =>
    fc.record({
      kind: fc.constant(kind),
      blow: fc.record({ from: fc.constant<'outside'>('outside'), afterMs: afterMs(max) }),
      scripts,
    })
  return fc.oneof(
    { weight: 12, arbitrary: round('serve', longestMs) },
    ...SERVING.map((kind) => ({ weight: 1, arbitrary: round(kind, longestMs) })),
    ...SHORT.map((kind) => ({ weight: 1, arbitrary: round(kind, Math.round(longestMs / 3)) })),
  )
}

function inside(points: readonly string[], actions: readonly FaultAction[]): fc.Arbitrary<Round> {
  const blow = fc.record({
    from: fc.constant<'inside'>('inside'),
    point: fc.constantFrom(...points),
    action: fc.constantFrom(...actions),
    skip: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
  })
  return fc
    .record({ blow, scripts })
    .map((round) => ({ ...round, scripts: [...round.scripts, EVERYTHING], kind: kindFor(round.blow.point) }))
}

/**
 * A few rounds, each with one blow: more than a third from outside, the others at points of which those come first that have not killed yet.
 *
 * @param longestMs how late SIGKILL may come from outside: a start, and some of what comes after it, take less
 * @param points all that this lab can come to
 * @param unproven those at which no process was killed so far
 */
export function histories(
  points: readonly string[],
  unproven: readonly string[],
  longestMs: number,
): fc.Arbitrary<History> {
  const wanted = unproven.length > 0 ? unproven : points
  const round = fc.oneof(
    // Some of them find that a command has ended, and do not count.
    { weight: 5, arbitrary: outside(longestMs) },
    { weight: 5, arbitrary: inside(wanted, ['kill']) },
    { weight: 1, arbitrary: inside(points, ['throw']) },
    { weight: 1, arbitrary: inside(points, ['delay', 'kill']) },
  )
  return fc.array(round, { minLength: 6, maxLength: 12, size: 'max' })
}
