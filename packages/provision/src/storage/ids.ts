import { ProvisionError } from '../errors.ts'
import type { Labels, SnapshotRef, VolumeId } from './driver.ts'

const ID = /^[a-z0-9][a-z0-9-]{0,62}$/
const LAB_ID = /^[a-z0-9-]{1,63}$/
const LABEL_KEY = /^[a-z][a-z0-9-]{0,30}$/
/** Control characters, halves of surrogate pairs, and the two that break a line. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u
const MAX_LABEL_CHARACTERS = 1024
/** A ZFS property holds 8,191 bytes (ZAP_MAXVALUELEN in sys/zap.h), and all of a volume's labels go into one. */
const MAX_LABELS_BYTES = 8000

const ID_FORM = 'up to 63 lower-case letters, digits and hyphens, the first not a hyphen'

/** Stands between a volume's id and a snapshot's in names on disk: no id can hold it. */
const SEPARATOR = '@'

export function isId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value)
}

/** @throws ProvisionError INVALID. The value is not repeated: what is rejected may be anything. */
export function checkVolumeId(id: unknown): asserts id is VolumeId {
  if (!isId(id)) throw new ProvisionError('INVALID', `this is no volume's id: it must be ${ID_FORM}`)
}

/** @throws ProvisionError INVALID */
export function checkSnapshotRef(ref: SnapshotRef): void {
  checkVolumeId(ref.volumeId)
  if (!isId(ref.snapshotId)) throw new ProvisionError('INVALID', `this is no snapshot's id: it must be ${ID_FORM}`)
}

/** @throws ProvisionError INVALID */
export function checkLabId(labId: unknown): asserts labId is string {
  if (typeof labId === 'string' && LAB_ID.test(labId)) return
  throw new ProvisionError('INVALID', "this is no lab's id: it must be up to 63 lower-case letters, digits and hyphens")
}

/** @throws ProvisionError INVALID, naming the key where it is a sound one */
export function checkLabels(labels: Labels): void {
  for (const [key, value] of Object.entries(labels)) {
    if (!LABEL_KEY.test(key)) {
      const form = 'up to 31 lower-case letters, digits and hyphens, the first a letter'
      throw new ProvisionError('INVALID', `a label's key must be ${form}`)
    }
    if (typeof value !== 'string' || value.length > MAX_LABEL_CHARACTERS || UNPRINTABLE.test(value)) {
      const form = `at most ${MAX_LABEL_CHARACTERS} printable characters`
      throw new ProvisionError('INVALID', `the value of the label ${key} must be ${form}`)
    }
  }
  if (Buffer.byteLength(JSON.stringify(labels)) > MAX_LABELS_BYTES) {
    throw new ProvisionError('INVALID', `the labels must fit into ${MAX_LABELS_BYTES} bytes of JSON together`)
  }
}

/** `volume@snapshot`: how a snapshot is named on disk and in messages. */
export function snapshotName(ref: SnapshotRef): string {
  return `${ref.volumeId}${SEPARATOR}${ref.snapshotId}`
}

/** The name of a volume or a snapshot. @throws ProvisionError INVALID */
export function checkName(what: VolumeId | SnapshotRef): string {
  if (typeof what === 'string') {
    checkVolumeId(what)
    return what
  }
  checkSnapshotRef(what)
  return snapshotName(what)
}

/** The reverse of `snapshotName`; undefined for what it can't have made. */
export function parseSnapshotName(name: string): SnapshotRef | undefined {
  const [volumeId, snapshotId, ...rest] = name.split(SEPARATOR)
  if (!isId(volumeId) || !isId(snapshotId) || rest.length > 0) return undefined
  return { volumeId, snapshotId }
}
