import { randomInt } from 'node:crypto'

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** Random and unguessable enough to be unique: 12 characters of 36 are 62 bits. Begins with a letter. */
export function randomId(length = 12): string {
  const rest = Array.from({ length: length - 1 }, () => LETTERS[randomInt(LETTERS.length)])
  return LETTERS[randomInt(26)] + rest.join('')
}

/** Says when it was made, for people who read lists: `20261122t103000-k3x9`. */
export function timedId(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace(/[-:]/g, '').toLowerCase()}-${randomId(4)}`
}
