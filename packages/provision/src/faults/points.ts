/**
 * Where a fault can be made to strike: just after the step that the name says, for each operation of the lab in the order in which it
 * takes them. A step that only some drivers take is in `DRIVER_POINTS`.
 */
const POINTS = {
  /** A lab that starts, for the first time or again. */
  start: [
    'locked',
    'identity-written',
    'storage-opened',
    'storage-noted',
    'catalogue-made',
    'start-counted',
    'reconciled',
    'listening',
  ],
  /** Bringing together the catalogue, the storage and the processes. */
  reconcile: ['strays-removed', 'unfinished-retired', 'garbage-collected', 'operations-resumed'],
  /** Data that comes in, as a dump or as the sample: a base, and its first snapshot. */
  import: [
    'volume-noted',
    'volume-made',
    'cluster-made',
    'postgres-started',
    'filled',
    'prepared',
    'shut-down',
    'snapshot-noted',
    'snapshot-taken',
    'published',
  ],
  create: ['promised', 'volume-noted', 'done', 'settled'],
  reset: ['promised', 'volume-noted', 'done', 'halted', 'settled'],
  /** An instance that is started ahead, and handed to a clone. */
  warm: ['volume-noted', 'prepared', 'handed-over', 'settled'],
  /** What creations and resets have in common. */
  clone: ['volume-made', 'postgres-started', 'user-set-up', 'login-proven'],
  restart: ['postgres-started', 'settled'],
  delete: ['promised', 'postgres-removed', 'settled'],
  /** Of a clone that runs; the first two and the last of the lab's own data too. */
  snapshot: [
    'noted',
    'taken',
    'checkpointed',
    'scratch-noted',
    'scratch-made',
    'scratch-started',
    'scratch-prepared',
    'scratch-shut-down',
    'published',
  ],
  'snapshot-delete': ['retired'],
  garbage: ['snapshot-destroyed', 'volume-destroyed'],
  /** Removing the whole lab. */
  destroy: ['begun', 'servers-removed', 'storage-destroyed', 'catalogue-removed'],
  /** A commit, and the seal that tells of it. */
  catalogue: ['committed', 'sealed'],
  /** A server of the process runtime. */
  postgres: [
    'record-written',
    'launched',
    'process-noted',
    'ready',
    'killed',
    'stopped',
    'socket-removed',
    'record-removed',
  ],
} as const

/** Of data that comes from a live server, which the labs of the torture test have not: test/retrieval kills at these. */
export const RETRIEVAL_POINTS = [
  'retrieval.snapshots-held',
  'retrieval.dumped',
  'retrieval.copied',
  'retrieval.settings-kept',
  'retrieval.standby-made',
  'retrieval.standby-snapshot-noted',
] as const

/** Of the drivers that keep trees in directories: how one is made, and how it goes. */
const SHELF = [
  'shelf.labelled',
  'shelf.filled',
  'shelf.named',
  'shelf.published',
  'shelf.hidden',
  'shelf.emptied',
  'label.written',
  'label.replaced',
] as const

/** A pool in a directory that is there, or in a dataset: how it is noted whose it is. */
const ROOT = ['storage.root-made'] as const

/** How the embedded pool is made, attached and grown. */
const POOL = [
  'pool.file-made',
  'pool.formatted',
  'pool.linked',
  'pool.attached',
  'pool.mounted',
  'pool.file-grown',
] as const

/** Data that comes in as the files of a cluster. */
const ADOPT = [
  'adopt.volume-made',
  'adopt.cloned',
  'adopt.brought',
  'adopt.quarantined',
  'adopt.replayed',
  'adopt.recovered',
  'adopt.moved-in',
  'adopt.started',
  'adopt.disarmed',
  'adopt.prepared',
  'adopt.shut-down',
] as const

/** A standby of a source. */
const STANDBY = [
  'standby.volume-made',
  'standby.brought',
  'standby.quarantined',
  'standby.started',
  'standby.snapshot-begun',
] as const

/** A port that another server answers at, where the kernel can. */
const STEERING = ['steering.steered'] as const

/** A reset where it can't. */
const RESET_AFTER = ['reset.old-stopped'] as const

type Names<P extends Record<string, readonly string[]>> = { [O in keyof P & string]: `${O}.${P[O][number]}` }[keyof P &
  string]

export type FailPoint =
  | Names<typeof POINTS>
  | (typeof RETRIEVAL_POINTS)[number]
  | (typeof SHELF)[number]
  | (typeof ROOT)[number]
  | (typeof POOL)[number]
  | (typeof STEERING)[number]
  | (typeof RESET_AFTER)[number]
  | (typeof ADOPT)[number]
  | (typeof STANDBY)[number]

const BTRFS_COMMANDS = [
  'btrfs --version',
  'btrfs subvolume create',
  'btrfs subvolume snapshot',
  'btrfs subvolume delete',
  'btrfs filesystem du',
  'btrfs filesystem resize',
  'btrfs device stats',
  'btrfs qgroup show',
  'btrfs qgroup limit',
  'btrfs quota enable',
  'btrfs quota disable',
  'btrfs quota rescan',
  'mkfs.btrfs',
  'losetup --associated',
  'losetup --find',
  'losetup --set-capacity',
  'losetup --detach',
  'mount',
  'umount',
]
const ZFS_COMMANDS = [
  'zfs version',
  'zfs create',
  'zfs clone',
  'zfs snapshot',
  'zfs destroy',
  'zfs get',
  'zfs set',
  'zfs mount',
  'zpool list',
  'zpool status',
]

/** Around each program that a driver runs. */
const around = (commands: readonly string[]) => commands.flatMap((command) => [`before ${command}`, `after ${command}`])

/**
 * Those of adoptions and standbys, since no lab of the torture test has a source of files; and around what drivers only run when something else has
 * been refused, which no test can count on:
 *
 * - `reset.old-stopped`: of a reset in which the old server ends before the new one, since the kernel can't bring its port to another.
 * - `btrfs property set`: for a volume that can't be deleted as it is, since users of a clone have made subvolumes in it.
 * - `zfs list`: to name who keeps a dataset from being destroyed. The lab knows whose data stands on whose, and destroys the last first.
 * - `btrfs filesystem sync`, `btrfs subvolume sync`, `zpool wait`, `zpool sync`: for the room of what is gone, a while after the last of it.
 * - `btrfs subvolume show`, and `zfs list` again: for trees of others, which those labs have not.
 */
export const RARE_POINTS: readonly string[] = [
  ...ADOPT,
  ...STANDBY,
  ...RESET_AFTER,
  ...around(['btrfs property set', 'btrfs subvolume show', 'zfs list']),
  ...around(['btrfs filesystem sync', 'btrfs subvolume sync', 'zpool wait', 'zpool sync']),
]

/** The points that only labs on this driver come to. */
export const DRIVER_POINTS: Readonly<Record<'btrfs' | 'zfs' | 'reflink' | 'copy', readonly string[]>> = {
  btrfs: [...SHELF, ...POOL, ...STEERING, ...around(BTRFS_COMMANDS)],
  zfs: [...ROOT, ...around(ZFS_COMMANDS)],
  reflink: [...ROOT, ...SHELF],
  copy: [...ROOT, ...SHELF],
}

/** The points of every lab. */
export const COMMON_POINTS: readonly string[] = Object.entries(POINTS).flatMap(([operation, steps]) =>
  steps.map((step) => `${operation}.${step}`),
)

/** The programs of drivers, and the one that flushes what was copied, and how many of their words after the first tell what they do. */
const WORDS: Readonly<Record<string, number>> = {
  btrfs: 2,
  'mkfs.btrfs': 0,
  losetup: 1,
  mount: 0,
  sync: 0,
  umount: 0,
  zfs: 1,
  zpool: 1,
}

/** How a driver's program is called here: as many of its first words as tell what it does. Undefined for any other program. */
export function commandName([file, ...args]: readonly [string, ...string[]]): string | undefined {
  const words = WORDS[file]
  if (words === undefined) return undefined
  // Options that come after the verb are no part of it.
  const verb = args.slice(0, words).filter((word, index) => index === 0 || !word.startsWith('-'))
  return [file, ...verb].join(' ')
}
