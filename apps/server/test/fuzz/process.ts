import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually, type TestLab } from '../support/lab.ts'

export interface Footprint {
  /** After garbage was collected. */
  heapBytes: number
  residentBytes: number
  openFiles: number
}

/**
 * What the server process holds once it has settled: its garbage is collected through Node's inspector, which SIGUSR1 opens on any Node
 * process, so that the server under test is the one that users run.
 */
export async function settledFootprint(lab: TestLab): Promise<Footprint> {
  const url = await inspectorUrl(lab)
  using inspector = await Inspector.open(url)
  for (let round = 0; round < 3; round++) {
    await inspector.call('HeapProfiler.collectGarbage')
    await delay(300)
  }
  const { usedSize } = (await inspector.call('Runtime.getHeapUsage')) as { usedSize: number }
  // From /proc/PID/statm, whose second number counts resident pages of 4 KiB.
  const [, pages] = (await readFile(`/proc/${lab.pid}/statm`, 'utf8')).split(' ')
  const openFiles = (await readdir(`/proc/${lab.pid}/fd`)).length
  return { heapBytes: usedSize, residentBytes: Number(pages) * 4096, openFiles }
}

/** On a port of the system's choice, if the server was started with `NODE_OPTIONS=--inspect-port=0`. */
async function inspectorUrl(lab: TestLab): Promise<string> {
  const url = () => /Debugger listening on (ws:\S+)/.exec(lab.output)?.[1]
  if (url() === undefined) {
    process.kill(lab.pid, 'SIGUSR1')
    await eventually('the inspector listens', () => url() !== undefined)
  }
  return url() ?? ''
}

class Inspector implements Disposable {
  readonly #socket: WebSocket
  #id = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
  }

  static async open(url: string): Promise<Inspector> {
    const socket = new WebSocket(url)
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true })
      socket.addEventListener('error', reject, { once: true })
    })
    return new Inspector(socket)
  }

  async call(method: string): Promise<unknown> {
    const id = ++this.#id
    const answer = new Promise<unknown>((resolve) => {
      const listen = ({ data }: MessageEvent) => {
        const message = JSON.parse(String(data)) as { id?: number; result?: unknown }
        if (message.id !== id) return
        this.#socket.removeEventListener('message', listen)
        resolve(message.result)
      }
      this.#socket.addEventListener('message', listen)
    })
    this.#socket.send(JSON.stringify({ id, method }))
    return answer
  }

  [Symbol.dispose](): void {
    this.#socket.close()
  }
}
