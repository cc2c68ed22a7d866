/** A secret as it could lie somewhere: as it is, or as programs write what they pass on. */
export function formsOf(secret: string): { form: string; bytes: Buffer }[] {
  const utf8 = Buffer.from(secret)
  const json = JSON.stringify(secret).slice(1, -1)
  const ascii = json.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const forms: [form: string, bytes: Buffer][] = [
    ['plain', utf8],
    ['URL-encoded', Buffer.from(encodeURIComponent(secret))],
    ['URL-encoded in lower case', Buffer.from(encodeURIComponent(secret).replace(/%../g, (hex) => hex.toLowerCase()))],
    ['a form field', Buffer.from(new URLSearchParams({ a: secret }).toString().slice(2))],
    ['JSON', Buffer.from(json)],
    ['JSON in ASCII', Buffer.from(ascii)],
    ['an SQL literal', Buffer.from(secret.replaceAll("'", "''"))],
    ['hex', Buffer.from(utf8.toString('hex'))],
    ['HEX', Buffer.from(utf8.toString('hex').toUpperCase())],
    ['UTF-16LE', Buffer.from(secret, 'utf16le')],
    ['UTF-16BE', Buffer.from(secret, 'utf16le').swap16()],
    ['Latin-1', Buffer.from(secret, 'latin1')],
    ...[0, 1, 2].flatMap((shift): [string, Buffer][] => [
      [`base64 at ${shift}`, Buffer.from(base64Within(utf8, shift, 'base64'))],
      [`base64url at ${shift}`, Buffer.from(base64Within(utf8, shift, 'base64url'))],
    ]),
  ]
  // Of forms that are the same the first has the name.
  const distinct = new Map(forms.toReversed().map(([form, bytes]) => [bytes.toString('latin1'), { form, bytes }]))
  return [...distinct.values()]
}

/** What is the same of it wherever it begins in a text that is encoded: whole groups of three bytes. */
function base64Within(bytes: Buffer, shift: number, encoding: 'base64' | 'base64url'): string {
  const before = (3 - shift) % 3
  const whole = bytes.subarray(before, before + Math.floor((bytes.length - before) / 3) * 3)
  return whole.toString(encoding)
}

interface Needle {
  what: string
  bytes: Buffer
}

/** Secrets, in all their forms, that bytes are searched for: in one pass, since a lab holds many. */
export class Secrets {
  readonly #needles = new Map<number, Needle[]>()
  /** By the first two bytes: whether a needle begins so. */
  readonly #begins = new Uint8Array(0x10000)
  /** Of all needles: pieces that are searched one by one must overlap by so much. */
  longest = 0

  add(name: string, secret: string): string {
    for (const { form, bytes } of formsOf(secret)) {
      const key = bytes.readUInt16BE(0)
      this.#begins[key] = 1
      this.#needles.set(key, [...(this.#needles.get(key) ?? []), { what: `${name} (${form})`, bytes }])
      this.longest = Math.max(this.longest, bytes.length)
    }
    return secret
  }

  /** Which of them are there, by name and form. */
  in(haystack: Buffer | string): string[] {
    const bytes = typeof haystack === 'string' ? Buffer.from(haystack) : haystack
    const found = new Set<string>()
    const begins = this.#begins
    let key = bytes[0] ?? 0
    for (let next = 1; next < bytes.length; next++) {
      key = ((key & 0xff) << 8) | (bytes[next] as number)
      if (begins[key] === 1) this.#compare(key, bytes, next - 1, found)
    }
    return [...found]
  }
  #compare(key: number, bytes: Buffer, at: number, found: Set<string>): void {
    for (const needle of this.#needles.get(key) ?? []) {
      const end = at + needle.bytes.length
      if (end <= bytes.length && needle.bytes.compare(bytes, at, end) === 0) found.add(needle.what)
    }
  }
}
