import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { type Compression, compressionOf, unpack } from './unpack.ts'

const text = Buffer.from(Array.from({ length: 1000 }, (_, index) => `${index * 7919}\n`).join(''))
const secret = 'of-one-row-alone'

const compress: Record<Compression, (data: Buffer | string) => Buffer> = {
  gzip: (data) => gzipSync(data),
  zstd: (data) => zstdCompressSync(data, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
}

/** RFC 8878, 3.1.2: a frame that decoders pass over. */
function skippable(size: number): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt32LE(0x184d2a50)
  header.writeUInt32LE(size, 4)
  return Buffer.concat([header, Buffer.alloc(size, 'x')])
}

async function* inPieces(data: Buffer, pieceLength: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += pieceLength) yield data.subarray(at, at + pieceLength)
}

async function unpacked(compression: Compression, data: Buffer, pieceLength = 1 << 18): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of unpack('/d', compression, inPieces(data, pieceLength))) pieces.push(piece)
  return Buffer.concat(pieces)
}

describe.each(['gzip', 'zstd'] as const)('what %s packed', (compression) => {
  const packed = compress[compression](text)

  test('is told by its first bytes', () => {
    expect(compressionOf(packed)).toBe(compression)
    expect(compressionOf(text)).toBeUndefined()
    expect(compressionOf(packed.subarray(0, 1))).toBeUndefined()
  })

  test.each([1, 2, 1000, packed.length - 1, packed.length, 1 << 18])(
    'comes out whole from pieces of %d',
    async (size) => {
      expect((await unpacked(compression, packed, size)).equals(text)).toBe(true)
    },
  )

  test('comes out whole where several parts stand behind each other, wherever a piece ends', async () => {
    const parts = ['a', 'b'.repeat(100), '', 'c'].map((part) => compress[compression](part))
    const data = Buffer.concat(parts)
    for (let size = 1; size <= data.length; size++) {
      expect(String(await unpacked(compression, data, size))).toBe(`a${'b'.repeat(100)}c`)
    }
  })

  test('is refused when it is cut short, wherever that is', async () => {
    const data = Buffer.concat([compress[compression]('first'), compress[compression](secret)])
    const boundary = compress[compression]('first').length
    for (let length = 1; length < data.length; length++) {
      if (length === boundary) continue
      for (const size of [1, boundary, data.length]) {
        await expect(unpacked(compression, data.subarray(0, length), size)).rejects.toMatchObject({
          code: 'INVALID',
          message: expect.stringMatching(/cut short/),
          hint: expect.any(String),
        })
      }
    }
  })

  test('is refused when a byte of it was changed, wherever that is, or comes out as it was', async () => {
    const data = compress[compression](secret.repeat(20))
    let refused = 0
    for (let at = 0; at < data.length; at++) {
      const changed = Buffer.from(data)
      changed[at] = (changed[at] ?? 0) ^ 0x41
      const outcome = await unpacked(compression, changed).catch((error: unknown) => error)
      // The header of gzip holds bytes without a meaning, such as the time.
      if (Buffer.isBuffer(outcome)) expect(String(outcome)).toBe(secret.repeat(20))
      else {
        refused++
        expect(outcome).toMatchObject({ code: 'INVALID', hint: expect.any(String) })
        expect(String(outcome)).not.toContain(secret)
      }
    }
    expect(refused).toBeGreaterThan(data.length / 2)
  })

  test.each([1, packed.length, packed.length + 3, 1 << 18])(
    'is refused where something else follows it, in pieces of %d',
    async (size) => {
      const data = Buffer.concat([packed, Buffer.from('something')])
      await expect(unpacked(compression, data, size)).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining('damaged'),
      })
    },
  )

  test('hands on an error of its source', async () => {
    async function* broken(): AsyncGenerator<Buffer> {
      yield packed.subarray(0, 100)
      throw Object.assign(new Error('the disk'), { code: 'EIO' })
    }
    const reading = async () => {
      for await (const piece of unpack('/d', compression, broken())) expect(piece.length).toBeGreaterThan(0)
    }
    await expect(reading()).rejects.toMatchObject({ code: 'EIO' })
  })

  test('closes its source when nobody reads on', async () => {
    let closed = false
    async function* source(): AsyncGenerator<Buffer> {
      try {
        while (true) yield packed
      } finally {
        closed = true
      }
    }
    for await (const piece of unpack('/d', compression, source())) {
      expect(piece.length).toBeGreaterThan(0)
      break
    }
    expect(closed).toBe(true)
  })
})

test('zeros behind the data of gzip are padding, unless something follows them', async () => {
  const padded = Buffer.concat([gzipSync('a'), Buffer.alloc(1000)])
  for (const size of [1, 21, 1 << 18]) expect(String(await unpacked('gzip', padded, size))).toBe('a')
  const more = Buffer.concat([padded, gzipSync('b')])
  await expect(unpacked('gzip', more)).rejects.toThrow(/something else follows/)
})

test('frames of zstd that are to be skipped are, first, last and between', async () => {
  const data = Buffer.concat([
    skippable(4),
    compress.zstd('a'),
    skippable(0),
    skippable(300),
    compress.zstd('b'),
    skippable(9),
  ])
  expect(compressionOf(data)).toBe('zstd')
  // Pieces shorter and longer than the header of a frame, and all in one.
  for (const size of [1, 2, 3, 4, 5, 7, 8, 9, 13, 64, 299, 300, 301, data.length])
    expect(String(await unpacked('zstd', data, size))).toBe('ab')
})

describe('the window of zstd', () => {
  function withWindow(log: number): Buffer {
    const { ZSTD_c_windowLog, ZSTD_c_contentSizeFlag } = constants
    // Left to itself, a window grows no larger than the data.
    const packed = zstdCompressSync('a', { params: { [ZSTD_c_windowLog]: 10, [ZSTD_c_contentSizeFlag]: 0 } })
    // RFC 8878, 3.1.1.1.2: its logarithm less ten, in the upper five bits.
    packed[5] = (log - 10) << 3
    return packed
  }

  test('may be of the size that zstd --long asks for', async () => {
    expect(String(await unpacked('zstd', withWindow(27)))).toBe('a')
  })

  test('is refused where it is larger, with what to do', async () => {
    await expect(unpacked('zstd', withWindow(28))).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('128 MiB'),
      hint: expect.stringContaining('zstd -d --long=31 /d'),
    })
  })
})

test('data of zstd that need a dictionary are refused as that', async () => {
  // A frame header that names dictionary 7, and the first bytes of a block.
  const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 0x07, 0x01, 0x00, 0x00])
  await expect(unpacked('zstd', frame)).rejects.toMatchObject({
    code: 'INVALID',
    message: expect.stringContaining('dictionary'),
  })
})
