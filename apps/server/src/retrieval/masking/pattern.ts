/** Says whether a pattern stands for these parts of a name, such as a schema and a table. */
export type Pattern = (...parts: string[]) => boolean

/** A pattern of parts between dots, such as `public.cust*`. */
export function compilePattern(text: string): Pattern {
  const expected = text.split('.').map(compilePart)
  return (...parts) => parts.length === expected.length && expected.every((matches, i) => matches(parts[i] ?? ''))
}

/** A pattern of one name: `*` is any number of characters, everything else is itself. */
export function compilePart(text: string): (name: string) => boolean {
  const pieces = text.split('*').map((piece) => piece.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  const expression = new RegExp(`^${pieces.join('.*')}$`, 'su')
  return (name) => expression.test(name)
}

/** True where somebody has named one thing, and so means just that. */
export function isExact(text: string): boolean {
  return !text.includes('*')
}
