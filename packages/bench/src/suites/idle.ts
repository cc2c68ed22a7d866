import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { finished } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BareClone, bareClone } from '../baselines/bare-sequence.ts'
import { bareSide } from '../baselines/bare-side.ts'
import { plainHttp } from '../baselines/plain-http.ts'
import { type BenchClone, createClone, firstRow } from '../lab/clones.ts'
import { sampleData } from '../lab/data.ts'
import { runningInstances } from '../lab/instances.ts'
import { type BenchLab, TOKEN } from '../lab/lab.ts'
import { findVersion, type Version } from '../lab/versions.ts'
import { inTurns } from '../measure/in-turns.ts'
import { helperBytes, proportionalBytes, resident } from '../measure/memory.ts'
import { atSteadyRate, type SteadyRate } from '../measure/steady-rate.ts'
import { type Row, row, rowBeside, type Suite, type SuiteContext } from './contract.ts'

const VERSIONS = [18, 17]
/** Bare servers beside the clones, at the same moment: of what all share, each counts the same part. */
const BARE = 10
/** Clones under way at once, while they are made. */
const CONCURRENCY = 4
/** Until what a new clone has to do is done, its first checkpoint too. */
const SETTLE_MS = 10_000
/** What the data hold does not matter to an idle clone. */
const SCALE = 0.02

export const idle: Suite = {
  name: 'idle',
  description:
    'memory of clones that run and do nothing, beside bare servers, and how fast the lab answers with so many',
  async run(context) {
    const rows: Row[] = []
    for (const major of VERSIONS) {
      const version = await findVersion(major)
      if (typeof version === 'string') context.skip(`PostgreSQL ${major}`, version)
      else rows.push(...(await idleRows(context, version)))
    }
    return rows
  },
}

async function idleRows({ quick, ownLab, say }: SuiteContext, version: Version): Promise<Row[]> {
  const number = quick ? 20 : 500
  await using lab = await ownLab({ scale: SCALE, ...version, configuration: { profile: 'test' } })
  const before = await resident(lab.serverPid)
  say(`idle: making ${number} clones of PostgreSQL ${version.version}`)
  const clones = await makeClones(lab, number)
  const name = `PostgreSQL ${version.version}, ${number} clones`
  const memory = await memoryRows(lab, name)
  const made = await resident(lab.serverPid)
  say('idle: asking for them')
  const rate = { perSecond: 50, seconds: quick ? 2 : 30 }
  const paths = clones.map(({ id }) => `/clone/${id}`)
  await using plain = await plainHttp(await answersOf(lab, [...paths, '/clones']))
  const answers = await answerRows(lab, plain.url, paths, name, rate)
  const asked = await resident(lab.serverPid)
  const helpers = await helperBytes(lab.serverPid)
  // What the lab does besides, on the same processors, is in the way of the bare server as well.
  await lab.stop()
  const alone = await aloneRows(plain.url, paths, name, rate)
  await lab.start()
  const bytes = (what: string, sample: number) => row({ name: `${name}: ${what}`, unit: 'bytes', samples: [sample] })
  return [
    ...memory,
    bytes("resident memory of the lab's server before the first clone", before.nowBytes),
    bytes("resident memory of the lab's server", made.nowBytes),
    bytes('the most that it was until then', made.peakBytes),
    bytes('the same after 50 requests a second', asked.nowBytes),
    bytes('the most that it ever was', asked.peakBytes),
    bytes('what starts servers for it (PSS)', helpers),
    ...answers,
    ...alone,
  ]
}

async function makeClones(lab: BenchLab, number: number): Promise<BenchClone[]> {
  const clones: BenchClone[] = []
  let begun = 0
  const worker = async () => {
    while (begun++ < number) {
      const clone = await createClone(lab)
      await firstRow(clone.url)
      clones.push(clone)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  return clones
}

async function memoryRows(lab: BenchLab, name: string): Promise<Row[]> {
  const data = await sampleData(lab)
  const [side, source] = [await bareSide(lab), await lab.pool.sourceOf(data.snapshot)]
  await using stack = new AsyncDisposableStack()
  const bare: BareClone[] = []
  while (bare.length < BARE) bare.push(stack.use(await bareClone(side, source, data.database)))
  await sleep(SETTLE_MS)
  const pids = [...(await runningInstances(lab)).values()].map(({ pid }) => pid)
  const samples: number[] = []
  for (const pid of pids) samples.push(await proportionalBytes(pid))
  const ofBare: number[] = []
  for (const { server } of bare) ofBare.push(await proportionalBytes(server.pid))
  return [
    row({ name: `${name}: memory of each (PSS)`, unit: 'bytes', samples }),
    rowBeside(
      { name: `${name}: memory of the first ${BARE} (PSS)`, unit: 'bytes', samples: samples.slice(0, BARE) },
      { name: `${BARE} bare servers with the same settings`, samples: ofBare },
    ),
  ]
}

async function answersOf({ client }: BenchLab, paths: readonly string[]): Promise<Record<string, string>> {
  const answers: Record<string, string> = {}
  using agent = newAgent()
  // One by one: hundreds of connections at once are not what is measured here.
  for (const path of paths) answers[path] = await text(await get(client.url + path, agent))
  return answers
}

const PLAIN = 'a bare Node server with the same answers'

async function answerRows(
  { client: { url } }: BenchLab,
  plain: string,
  paths: readonly string[],
  name: string,
  rate: SteadyRate,
): Promise<Row[]> {
  const [lab, bare] = [asking(url, paths, rate), asking(plain, paths, rate)]
  const given = await inTurns(2, { one: lab.one, plainOne: bare.one, all: lab.all, plainAll: bare.all }, 0)
  return [
    rowBeside(
      { name: `${name}: GET /clone/{id}, ${rate.perSecond} a second`, samples: given.one.flat() },
      { name: PLAIN, samples: given.plainOne.flat() },
    ),
    rowBeside(
      { name: `${name}: GET /clones, ${rate.perSecond} a second`, samples: given.all.flat() },
      { name: PLAIN, samples: given.plainAll.flat() },
    ),
  ]
}

async function aloneRows(plain: string, paths: readonly string[], name: string, rate: SteadyRate): Promise<Row[]> {
  const { one, all } = await inTurns(2, asking(plain, paths, rate), 0)
  return [
    row({ name: `${name}: GET /clone/{id} of ${PLAIN}, while no lab runs`, samples: one.flat() }),
    row({ name: `${name}: GET /clones of it`, samples: all.flat() }),
  ]
}

/** How long each answer took, in milliseconds. */
function asking(base: string, paths: readonly string[], rate: SteadyRate) {
  // Connections of its own for each: those that nobody used meanwhile may be closed by the other side just when they are to be.
  const asked = async (pathOf: (number: number) => string) => {
    using agent = newAgent()
    return await atSteadyRate(rate, (number) => ask(pathOf(number), agent))
  }
  return {
    one: () => asked((number) => base + paths[number % paths.length]),
    all: () => asked(() => `${base}/clones`),
  }
}

function newAgent(): Agent & Disposable {
  // What was idle for that long is not used again: the other side may be closing it (keepAliveTimeout, 5 s).
  const agent = new Agent({ keepAlive: true, timeout: 2000 })
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() })
}

/** @throws Error for an answer that is no success */
async function get(url: string, agent: Agent): Promise<IncomingMessage> {
  const [answer] = (await once(
    request(url, { agent, headers: { Authorization: `Bearer ${TOKEN}` } }).end(),
    'response',
  )) as [IncomingMessage]
  if (answer.statusCode !== 200) throw new Error(`${url} answered ${answer.statusCode}`)
  return answer
}

/** To its last byte, of which nothing is made: who measures is not to be what takes the time. */
async function ask(url: string, agent: Agent): Promise<void> {
  await finished((await get(url, agent)).resume())
}
