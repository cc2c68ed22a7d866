/**
 * The `Link` to the next page of a list (RFC 8288). Relative to what was asked for, so that it holds behind a proxy that puts a path in front.
 *
 * @param query what to ask for; undefined values are left out
 */
export function nextLink(query: Record<string, string | number | undefined>): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value))
  return `<?${parameters}>; rel="next"`
}
