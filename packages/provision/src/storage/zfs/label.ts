import type { Labels } from '../driver.ts'
import { isLabels } from '../label.ts'
import { localPropertyOf, type Properties } from './output.ts'

/**
 * `pool` for the dataset that everything is in, if we made it; `making` for a volume whose directory isn't its owner's yet: what a
 * crash leaves of that kind is destroyed by the next `open`.
 */
export type Kind = 'pool' | 'making' | 'volume' | 'snapshot'

export interface Label {
  lab: string
  kind: Kind
  /** The last part of its name: what was renamed, or copied with its properties by `zfs receive`, is not ours. */
  id: string
  labels: Labels
}

/** A dataset that bears a label of this lab. */
export interface OwnDataset {
  name: string
  label: Label
  properties: Properties
}

const LAB = 'dblab:lab'
/** A random word for each call, by which one that failed knows what it has made itself. */
export const CALL = 'dblab:call'
const ID = 'dblab:id'
const LABELS = 'dblab:labels'
export const KIND = 'dblab:kind'

/** For `zfs get`. */
export const LABEL_PROPERTIES: readonly string[] = [LAB, KIND, ID, LABELS]

/** Options that set a label in the command that makes the dataset, so that none is ever there without. */
export function labelOptions({ lab, kind, id, labels }: Label): string[] {
  const properties = [`${LAB}=${lab}`, `${KIND}=${kind}`, `${ID}=${id}`, labelsProperty(labels)]
  return properties.flatMap((property) => ['-o', property])
}

/** For `zfs set`, and as an option of what makes a dataset. */
export function labelsProperty(labels: Labels): string {
  return `${LABELS}=${JSON.stringify(labels)}`
}

/** Undefined for what bears no label of its own: a snapshot inherits its dataset's, and a dataset its parent's. */
export function parseLabel(properties: Properties): Label | undefined {
  const [lab, kind, id, labels] = LABEL_PROPERTIES.map((name) => localPropertyOf(properties, name))
  if (lab === undefined || id === undefined || labels === undefined) return undefined
  if (kind !== 'pool' && kind !== 'making' && kind !== 'volume' && kind !== 'snapshot') return undefined
  const parsed = parseLabels(labels)
  return parsed && { lab, kind, id, labels: parsed }
}

function parseLabels(text: string): Labels | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isLabels(value) ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
