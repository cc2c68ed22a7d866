import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'
import { writeFileAtomically } from '../files.ts'
import type { DriverName } from './config.ts'

/** Notes which driver keeps its volumes in a root directory: another one would find nothing there, or hide it. */
const FILE = 'dblab-storage.json'

interface Marker {
  driver: DriverName
  /** True when opening made the root directory itself, so that destroying may remove it. */
  madeRoot: boolean
}

const DRIVERS: readonly string[] = ['zfs', 'btrfs', 'reflink', 'copy'] satisfies DriverName[]

/** Undefined where none has been written. @throws ProvisionError FAILED for one that can't be understood */
export async function readMarker(root: string): Promise<Marker | undefined> {
  let text: string
  try {
    text = await readFile(join(root, FILE), 'utf8')
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
  return parseMarker(text, join(root, FILE))
}

function parseMarker(text: string, path: string): Marker {
  const damaged = (cause?: unknown) =>
    new ProvisionError('FAILED', `${path} is damaged: it must name the driver whose volumes lie there`, {
      cause,
      hint: `Write {"driver": "NAME", "madeRoot": false} into it, with one of ${DRIVERS.join(', ')}.`,
    })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw damaged(error)
  }
  if (typeof value !== 'object' || value === null || !('driver' in value) || !isDriverName(value.driver))
    throw damaged()
  return { driver: value.driver, madeRoot: 'madeRoot' in value && value.madeRoot === true }
}

function isDriverName(value: unknown): value is DriverName {
  return typeof value === 'string' && DRIVERS.includes(value)
}

export async function writeMarker(root: string, marker: Marker): Promise<void> {
  await writeFileAtomically(join(root, FILE), `${JSON.stringify(marker)}\n`, 0o644)
}

export async function removeMarker(root: string): Promise<void> {
  await rm(join(root, FILE), { force: true })
}
