/** A piece of a statement. */
export interface Token {
  /** As Postgres takes it: a bare word folded to lower case, a quoted name or literal without its quotes. */
  text: string
  /** In capitals, for a bare word only: what may be a keyword. */
  word: string | undefined
  /** A bare word or a quoted name. */
  isName: boolean
}

const pattern = /"((?:[^"]|"")*)"|'((?:[^']|'')*)'|([\p{L}_][\p{L}\p{N}_$]*)|[^\s]/gu

/** Splits one statement; good for the short ones that name roles and databases, not for expressions. */
export function tokens(statement: string): Token[] {
  return [...statement.matchAll(pattern)].map(([whole, name, literal, word]) => {
    if (name !== undefined) return { text: name.replaceAll('""', '"'), word: undefined, isName: true }
    if (literal !== undefined) return { text: literal.replaceAll("''", "'"), word: undefined, isName: false }
    if (word !== undefined) return { text: foldCase(word), word: word.toUpperCase(), isName: true }
    return { text: whole, word: undefined, isName: false }
  })
}

/** Postgres folds ASCII letters alone in a multibyte encoding. */
function foldCase(word: string): string {
  return word.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}
