/** JSON as it will be written: an object that may have a name twice, or text that need not be JSON. */
export type Json = { text: string } | { entries: [name: string, value: Json][] }

export function textOf(json: Json): string {
  if ('text' in json) return json.text
  return `{${json.entries.map(([name, value]) => `${JSON.stringify(name)}:${textOf(value)}`).join(',')}}`
}

/** Puts a text in the place of a field, which need not be there yet. */
export function withField(json: Json, [name, ...rest]: readonly string[], text: string): Json {
  if (name === undefined) return { text }
  const entries = 'entries' in json ? json.entries : []
  const old = entries.find(([other]) => other === name)?.[1] ?? { entries: [] }
  const value = withField(old, rest, text)
  return { entries: [...entries.filter(([other]) => other !== name), [name, value]] }
}

/** One more entry at its end, whether or not there is one of that name. */
export function withMore(json: Json, name: string, text: string): Json {
  return { entries: [...('entries' in json ? json.entries : []), [name, { text }]] }
}

export function withoutField(json: Json, [name, ...rest]: readonly string[]): Json {
  if (!('entries' in json) || name === undefined) return json
  if (rest.length === 0) return { entries: json.entries.filter(([other]) => other !== name) }
  return { entries: json.entries.map(([other, value]) => [other, other === name ? withoutField(value, rest) : value]) }
}
