// A program: asks for what its parent names, and sends it what each request took.
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'

export interface Load {
  /** Asked for in turns. */
  urls: string[]
  token: string
  requests: number
  /** Requests begin in this time, however long the answers take. */
  perSecond: number
  /** Name the ETag of the last answer, from the first of these requests on. */
  conditional: boolean
}

export interface Answered {
  url: string
  status: number
  /** From its sending to the last byte. */
  ms: number
}

async function run({ urls, token, requests, perSecond, conditional }: Load): Promise<Answered[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 20 })
  const tags = new Map<string, string>()
  const ask = async (url: string): Promise<Answered> => {
    const sent = performance.now()
    const tag = conditional ? tags.get(url) : undefined
    const headers = { authorization: `Bearer ${token}`, ...(tag !== undefined && { 'if-none-match': tag }) }
    const request = get(url, { headers, agent })
    try {
      const [answer] = (await once(request, 'response')) as [IncomingMessage]
      await buffer(answer)
      if (answer.headers.etag !== undefined) tags.set(url, answer.headers.etag)
      return { url, status: answer.statusCode ?? 0, ms: performance.now() - sent }
    } catch (error) {
      // A connection that was kept may be closed in the moment in which it is used.
      if (request.reusedSocket) return ask(url)
      throw error
    }
  }
  if (conditional) for (const url of new Set(urls)) await ask(url)
  const begun = performance.now()
  const answers: Promise<Answered>[] = []
  for (let number = 0; number < requests; number++) {
    const due = begun + (number * 1000) / perSecond
    // A timer may be early.
    while (performance.now() < due) await delay(Math.max(1, due - performance.now()))
    answers.push(ask(urls[number % urls.length] ?? ''))
  }
  const all = await Promise.all(answers)
  agent.destroy()
  return all
}

process.once('message', async (load: Load) => {
  process.send?.(await run(load))
  process.disconnect()
})
