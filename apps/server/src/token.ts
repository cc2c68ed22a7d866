export const TOKEN_RULE = 'it must be 16 printable characters or more, without spaces'

/** What may stand in a header, and is too long to be guessed if it is random. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]{16,}$/.test(text)
}
