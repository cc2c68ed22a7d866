/** What is left of a secret in a text. */
const REMOVED = '[removed]'

/** Text in which none of these secrets is, whole; nor any of their lines. */
export function withoutSecrets(text: string, secrets: Iterable<string>): string {
  const parts = [...secrets]
    .flatMap((secret) => [secret, ...secret.split(/\r?\n/)])
    .filter((part) => part.trim() !== '')
  // The longest first: one may be a part of another.
  return parts.sort((a, b) => b.length - a.length).reduce((rest, part) => rest.replaceAll(part, REMOVED), text)
}
