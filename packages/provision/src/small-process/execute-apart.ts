import type { execute, ProgramOrder } from './execute.ts'
import { smallProcess } from './small-process.ts'

/**
 * As `execute`, from the small process.
 *
 * @throws ProvisionError FAILED where that ends meanwhile: then nobody knows how far the program came
 */
export async function executeApart(program: ProgramOrder, signal?: AbortSignal): ReturnType<typeof execute> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof execute>>>()
  const id = smallProcess.order(
    { run: program },
    {
      hear: (answer) => {
        if ('ran' in answer || 'ranBadly' in answer) resolve(answer)
      },
      lose: reject,
    },
  )
  const stop = () => smallProcess.tell({ id, stop: true })
  signal?.addEventListener('abort', stop)
  try {
    return await promise
  } finally {
    signal?.removeEventListener('abort', stop)
    smallProcess.forget(id)
  }
}
