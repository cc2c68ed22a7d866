import { open } from 'node:fs/promises'
import { ProvisionError } from '@dblab/provision'
import { type Compression, unpack } from './unpack.ts'

export interface ReadDumpOptions {
  signal?: AbortSignal | undefined
  /** Each piece of the file itself, compressed where that is. */
  onRead?: ((byteCount: number) => void) | undefined
}

/** Large enough that reading takes no time beside what is done with what was read. */
const readBytes = 1 << 18

/**
 * What a dump's file holds, unpacked where it is compressed.
 *
 * @throws ProvisionError INVALID when it can't be unpacked; ABORTED
 */
export async function* dumpBytes(
  { path, compression }: { path: string; compression: Compression | undefined },
  { signal, onRead }: ReadDumpOptions = {},
): AsyncGenerator<Buffer, void> {
  await using file = await open(path, 'r')
  const source = pieces(file.createReadStream({ autoClose: false, highWaterMark: readBytes }), path, { signal, onRead })
  // Asked for at both ends, since a small piece may unpack to many large ones, and a large one to nothing.
  for await (const piece of compression === undefined ? source : unpack(path, compression, source)) {
    refuseIfAborted(path, signal)
    yield piece
  }
}

async function* pieces(
  source: AsyncIterable<Buffer>,
  path: string,
  { signal, onRead }: ReadDumpOptions,
): AsyncGenerator<Buffer, void> {
  for await (const piece of source) {
    refuseIfAborted(path, signal)
    onRead?.(piece.length)
    yield piece
  }
}

function refuseIfAborted(path: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ProvisionError('ABORTED', `the reading of ${path} was stopped on request`)
}
