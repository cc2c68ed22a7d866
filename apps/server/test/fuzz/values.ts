import fc from 'fast-check'

/** Stands for a value of the caller, to be found in no error and not in the log. Its capitals keep it from being an id by luck. */
export const MARK = 'CanaryXXXXXXXX'
/** The same where an id may be: in the place of one that there is not. */
export const ID_MARK = 'canaryxxxxxxxx'

/** Puts a mark of its own into each request, as long as the one that it replaces. */
export function marked(text: string, id: string): string {
  return text.replaceAll(MARK, `Canary${id}`).replaceAll(ID_MARK, `canary${id}`)
}

/** Any UTF-16 there is: half surrogate pairs, zero bytes and control characters with it. */
const utf16 = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0xd800, max: 0xdfff }), fc.constant(0)), {
    maxLength: 12,
  })
  .map((units) => String.fromCharCode(...units))

/** Texts that have broken somebody's server before, each with the mark in it. */
export const nastyText = fc.oneof(
  fc.constant(MARK),
  fc
    .constantFrom('', ' ', '\0', '\n', '\r\n', '\u001b[31m', '\u202e', '\ufeff', '\u{1f418}', 'ſ', 'İ')
    .map((text) => `${MARK}${text}`),
  fc
    .constantFrom(
      "' OR 1=1; DROP TABLE orders; --",
      '$(id)',
      '`id`',
      '#{7*7}',
      '%s%n%x',
      '../../../../etc/passwd',
      '..\\..\\',
      '<script>alert(1)</script>',
      '\r\nSet-Cookie: a=b',
      'postgresql://a:b@c/d',
      'host=/tmp dbname=postgres',
      'SCRAM-SHA-256$4096:a$b:c',
      '2999-13-45T99:99:99Z',
      '-1',
      '1e999',
    )
    .map((text) => `${text}${MARK}`),
  fc.constantFrom(64, 201, 1001, 5000).map((times) => MARK.repeat(Math.ceil(times / MARK.length))),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => `${MARK}${text}`),
  utf16.map((text) => `${MARK}${text}`),
)

/**
 * Names that mean something to JavaScript, and such as hold a value. Those are none that a programmer would write: an unknown name that is
 * written like one is named in the answer, for who misspelt it.
 */
export const poisonedName = fc.constantFrom(
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'length',
  'then',
  'toJSON',
  '$ref',
  '',
  `x-${MARK}`,
  `${MARK} `,
  '\ud800',
)

/** JSON as it is written, so that it can be what no JSON.stringify writes. */
export const nastyJson: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: nastyText.map((text) => JSON.stringify(text)) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...['null', 'true', 'false', '0', '-0', '-1', '1.5', '1e999', '9007199254740993', '0.1e-400', '[]', '{}'],
      ...[`["${MARK}"]`, `{"${MARK}-":1}`, `{"id":"${MARK}"}`, '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"'],
    ),
  },
  { weight: 2, arbitrary: fc.tuple(poisonedName, nastyText).map(([name, text]) => JSON.stringify([[name, text]])) },
  {
    weight: 2,
    arbitrary: poisonedName.map((name) => `{${JSON.stringify(name)}:{"db":"${MARK}","protected":true,"x":[]}}`),
  },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(10, 500, 5000)
      .chain((depth) =>
        fc.constantFrom(
          `${'['.repeat(depth)}${']'.repeat(depth)}`,
          `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
          '['.repeat(depth),
        ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      MARK,
      `"${MARK}`,
      `'${MARK}'`,
      'NaN',
      '01',
      '1,',
      '{,}',
      `"${MARK}\n"`,
      `//${MARK}`,
      '+1',
    ),
  },
)

/** What a query or a path may hold after the browser's escaping, or without it. */
export const nastyEscape = fc.oneof(
  nastyText.map((text) => encodeURIComponent(text.toWellFormed())),
  fc
    .constantFrom(
      ...['%', '%0', '%zz', '%00', '%0d%0a', '%2f', '%5c', '%2e%2e%2f', '%c0%af', '%ed%a0%80', '%ff', '%25%32%66'],
      ...['..', '.', '//', ';a=b', '[]', '[a]', '+', '\u00e9', '{id}', '*', '%F0%9F%90%98'],
    )
    .map((text) => `${MARK}${text}`),
  fc.constantFrom(300, 3000).map((length) => `${MARK}${'a'.repeat(length)}`),
)

/** A header's value, one byte a character: some can't be sent, and are to be refused as what is no HTTP. */
export const nastyHeader = fc.oneof(
  fc.constant(MARK),
  fc.constant(''),
  fc.constantFrom(256, 2000, 9000).map((length) => `${MARK}${'h'.repeat(length)}`),
  fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: 10 })
    .map((bytes) => `${MARK}${String.fromCharCode(...bytes)}`),
  fc.constantFrom('\t', ',', ';', '"', '=', 'é', '\u007f', '; q=1', ', a', '%0d%0a').map((text) => `${MARK}${text}`),
)
