import { type FileHandle, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError } from '../errors.ts'
import { failPoint } from '../faults/faults.ts'
import { syncPath } from '../files.ts'
import type { Labels, SnapshotRef } from './driver.ts'
import { isId, snapshotName } from './ids.ts'

/** What a directory's `label.json` says of it: whose it is, and what. */
export type Label = VolumeLabel | SnapshotLabel

export interface VolumeLabel {
  lab: string
  kind: 'volume'
  id: string
  origin: SnapshotRef | null
  labels: Labels
}

export interface SnapshotLabel {
  lab: string
  kind: 'snapshot'
  volumeId: string
  snapshotId: string
  labels: Labels
}

const FILE = 'label.json'
const NEW_FILE = 'label.json.new'

/** All that a labelled directory may hold beside its files. */
export const LABEL_FILES: readonly string[] = [FILE, NEW_FILE]

/** The name that the directory of what is so labelled must have. */
export function labelledName(label: Label): string {
  return label.kind === 'volume' ? label.id : snapshotName(label)
}

/**
 * Writes it into the directory, so that no crash leaves a published directory with half a label.
 *
 * @param settle what sees to that; by default it is on disk when this resolves
 */
export async function writeLabel(directory: string, label: Label, settle = sync): Promise<void> {
  await write(join(directory, FILE), 'wx', label, settle)
}

/** Puts it in the place of the one that is there, whole; on disk when this resolves. A crash may leave the new one beside the old one. */
export async function replaceLabel(directory: string, label: Label): Promise<void> {
  await write(join(directory, NEW_FILE), 'w', label, sync)
  await failPoint('label.written')
  await rename(join(directory, NEW_FILE), join(directory, FILE))
  await failPoint('label.replaced')
  await syncPath(directory)
}

async function write(path: string, flags: 'w' | 'wx', label: Label, settle: typeof sync): Promise<void> {
  await using file = await open(path, flags, 0o600)
  await file.writeFile(`${JSON.stringify(label, null, 2)}\n`)
  await settle(file)
}

function sync(file: FileHandle): Promise<void> {
  return file.sync()
}

/** Undefined when there is no such directory, or its label is none that we write: it's someone else's then. */
export async function readLabel(directory: string): Promise<Label | undefined> {
  let text: string
  try {
    text = await readFile(join(directory, FILE), 'utf8')
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP')) return undefined
    throw error
  }
  return parseLabel(text)
}

export function parseLabel(text: string): Label | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
  if (!isRecord(value) || typeof value.lab !== 'string' || !isLabels(value.labels)) return undefined
  const { lab, labels } = value
  if (value.kind === 'volume' && isId(value.id)) {
    const origin = parseOrigin(value.origin)
    return origin === undefined ? undefined : { lab, kind: 'volume', id: value.id, origin, labels }
  }
  if (value.kind === 'snapshot' && isId(value.volumeId) && isId(value.snapshotId)) {
    return { lab, kind: 'snapshot', volumeId: value.volumeId, snapshotId: value.snapshotId, labels }
  }
  return undefined
}

function parseOrigin(value: unknown): SnapshotRef | null | undefined {
  if (value === null) return null
  if (!isRecord(value) || !isId(value.volumeId) || !isId(value.snapshotId)) return undefined
  return { volumeId: value.volumeId, snapshotId: value.snapshotId }
}

export function isLabels(value: unknown): value is Labels {
  return isRecord(value) && Object.values(value).every((label) => typeof label === 'string')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
