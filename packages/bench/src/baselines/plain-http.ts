import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'

const PROCESS = fileURLToPath(new URL('plain-http-process.ts', import.meta.url))

export interface PlainHttp extends AsyncDisposable {
  url: string
}

/** A Node server in a process of its own that does nothing but answer, with texts that are ready: as fast as a server of the kind can. */
export async function plainHttp(answers: Record<string, string>): Promise<PlainHttp> {
  const child = fork(PROCESS)
  child.send(answers)
  const [address] = (await once(child, 'message')) as [AddressInfo]
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill()
      await exited
    },
  }
}
