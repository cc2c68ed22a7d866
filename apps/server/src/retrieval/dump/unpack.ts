import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib'
import { ProvisionError } from '@dblab/provision'

/** What the lab unpacks itself. */
export type Compression = 'gzip' | 'zstd'

type Engine = Gunzip | ZstdDecompress

const engines: Readonly<Record<Compression, () => Engine>> = {
  gzip: () => createGunzip({ chunkSize: pieceBytes }),
  zstd: () => createZstdDecompress({ chunkSize: pieceBytes }),
}

/** Of what comes out at once: a file that swells a thousandfold is handed on in pieces of this size too. */
const pieceBytes = 1 << 16

/** A file's compression, told from its first bytes: RFC 1952 for gzip, RFC 8878 for Zstandard. */
export function compressionOf(start: Buffer): Compression | undefined {
  if (start.length < 4) return undefined
  if (start.readUInt16BE(0) === 0x1f8b) return 'gzip'
  const magic = start.readUInt32LE(0)
  // The second is a frame to be skipped; pzstd begins with one.
  return magic === 0xfd2fb528 || magic >>> 4 === 0x184d2a5 ? 'zstd' : undefined
}

/**
 * The bytes that a source holds compressed, with no more of them in memory than a few pieces and, for Zstandard, a window of 128 MiB. All of the
 * source is read and its checksums compared, so what comes to its end was whole.
 *
 * @throws ProvisionError INVALID when it is cut short, damaged or followed by something else, or needs a larger window or a dictionary; the
 * source's own error
 */
export async function* unpack(
  path: string,
  compression: Compression,
  source: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void> {
  const input = new Input(source)
  try {
    do {
      yield* unpackOne(engines[compression](), input)
      // Padding with zeros is usual behind gzip's data, and where its engine stops.
      if (compression === 'gzip' && !(await input.isZeros())) {
        throw damaged(path, compression, 'something else follows them')
      }
    } while (input.hasMore)
  } catch (error) {
    throw explain(path, compression, error)
  } finally {
    await input.close()
  }
}

/**
 * As far as one engine goes: through every member of gzip's data, but to the end of a Zstandard frame alone where the next one begins in the same
 * piece. Node's stream would end there and drop the rest without a word, so a new engine takes over.
 */
async function* unpackOne(engine: Engine, input: Input): AsyncGenerator<Buffer, void> {
  const fed = feed(engine, input)
  for await (const piece of engine) yield piece
  await fed
}

/** Piece by piece, so that what the engine leaves of one can be put back. */
async function feed(engine: Engine, input: Input): Promise<void> {
  try {
    let givenBytes = 0
    for (let piece = await input.next(); piece !== undefined; piece = await input.next()) {
      await write(engine, piece)
      givenBytes += piece.length
      const leftBytes = givenBytes - engine.bytesWritten
      if (leftBytes > 0) return input.putBack(piece.subarray(piece.length - leftBytes))
    }
    engine.end()
  } catch (error) {
    engine.destroy(error instanceof Error ? error : new Error(String(error)))
  }
}

/** Never settles when the engine fails or is destroyed meanwhile: who reads from it is told, and nobody waits for this any more. */
function write(engine: Engine, piece: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    engine.write(piece, (error) => (error ? reject(error) : resolve()))
  })
}

/** A source of which a part can be put back. */
class Input {
  readonly #source: AsyncIterator<Buffer>
  #rest: Buffer | undefined

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  get hasMore(): boolean {
    return this.#rest !== undefined
  }

  async next(): Promise<Buffer | undefined> {
    const rest = this.#rest
    this.#rest = undefined
    if (rest) return rest
    const { done, value } = await this.#source.next()
    return done ? undefined : value
  }

  putBack(rest: Buffer): void {
    this.#rest = rest
  }

  /** Reads what is left; true where that is zeros alone. */
  async isZeros(): Promise<boolean> {
    for (let piece = await this.next(); piece !== undefined; piece = await this.next()) {
      if (piece.some((byte) => byte !== 0)) return false
    }
    return true
  }

  async close(): Promise<void> {
    await this.#source.return?.()
  }
}

/** The engines' own words name no data: they are constants of zlib and libzstd. */
function explain(path: string, compression: Compression, error: unknown): unknown {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) return error
  const { code } = error
  if (code === 'Z_BUF_ERROR') {
    return new ProvisionError(
      'INVALID',
      `the dump ${path} is cut short: its ${compression} data do not come to an end`,
      {
        cause: error,
        hint: 'Check that pg_dump succeeded and that the file was copied whole.',
      },
    )
  }
  // libzstd takes frames with windows up to 2^27 bytes unless it is told to take more (ZSTD_WINDOWLOG_LIMIT_DEFAULT in zstd.h).
  if (code === 'ZSTD_error_frameParameter_windowTooLarge') {
    return new ProvisionError(
      'INVALID',
      `${path} was compressed with a window of more than 128 MiB (zstd --long=28 or more)`,
      {
        cause: error,
        hint: `The lab does not unpack that itself: unpack it first, with zstd -d --long=31 ${path}`,
      },
    )
  }
  if (code === 'ZSTD_error_dictionary_wrong') {
    return new ProvisionError('INVALID', `${path} was compressed with a dictionary, which is not in it`, {
      cause: error,
      hint: `Unpack it first, with zstd -d -D DICTIONARY ${path}`,
    })
  }
  const ofData = code === 'Z_DATA_ERROR' || (code.startsWith('ZSTD_error_') && code !== 'ZSTD_error_memory_allocation')
  return ofData ? damaged(path, compression, error.message, error) : error
}

function damaged(path: string, compression: Compression, why: string, cause?: Error): ProvisionError {
  return new ProvisionError(
    'INVALID',
    `the dump ${path} is damaged: its ${compression} data can't be unpacked (${why})`,
    {
      ...(cause && { cause }),
      hint: `Check that the file was copied whole, and not as text: ${compression} -t says whether it is.`,
    },
  )
}
