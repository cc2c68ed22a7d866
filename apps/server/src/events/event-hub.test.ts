import { setTimeout as delay } from 'node:timers/promises'
import type { LabEvent } from '@dblab/models'
import { expect, test } from 'vitest'
import { EventHub, type Told } from './event-hub.ts'
import { EventReader } from './event-reader.ts'

const news = (subject: string) => ({ type: 'clone', action: 'changed', subject }) as const

function readerOf(hub: EventHub, options: Partial<ConstructorParameters<typeof EventReader>[0]> = {}): EventReader {
  const place = { [Symbol.dispose]: () => {} }
  return new EventReader({ hub, place, wants: () => true, mayGoOn: () => true, ...options })
}

/** What a reader takes, until there is no more. */
function all(reader: EventReader): LabEvent[] {
  const events: LabEvent[] = []
  for (let text = reader.take(); text !== ''; text = reader.take()) {
    for (const [, data = ''] of text.matchAll(/^data: (.*)$/gm)) events.push(JSON.parse(data))
  }
  return events
}

const subjects = (events: LabEvent[]) => events.map(({ type, subject }) => (type === 'resync' ? type : subject))

test('a reader is told to read everything, then of all that is published after', () => {
  const hub = new EventHub()
  hub.publish(news('before'))
  using reader = readerOf(hub)
  expect(subjects(all(reader))).toEqual(['resync'])
  hub.publish(news('a'))
  hub.publish(news('b'))
  const events = all(reader)
  expect(subjects(events)).toEqual(['a', 'b'])
  expect(new Set(events.map(({ id }) => id)).size).toBe(2)
  expect(all(reader)).toEqual([])
})

test('whoever comes back goes on behind the event that it saw last', () => {
  const hub = new EventHub()
  using first = readerOf(hub)
  for (const name of ['a', 'b', 'c']) hub.publish(news(name))
  const resync = all(first)[0]
  hub.publish(news('d'))
  using second = readerOf(hub, { lastEventId: resync?.id })
  expect(subjects(all(second))).toEqual(['d'])
  using third = readerOf(hub, { lastEventId: all(first)[0]?.id })
  expect(all(third)).toEqual([])
})

test.each([
  ['that another process gave', () => new EventHub()],
  ['that is none', () => ({ resync: () => 'id: nonsense' })],
  ['that is yet to come', (hub: EventHub) => ({ resync: () => hub.resync().replace(/-\d+/, '-999') })],
])('whoever comes back with an id %s is told to read everything', (_which, from) => {
  const hub = new EventHub()
  hub.publish(news('a'))
  const lastEventId = /^id: (.*)$/m.exec(from(hub).resync())?.[1]
  expect(lastEventId).toBeDefined()
  using reader = readerOf(hub, { lastEventId })
  expect(subjects(all(reader))).toEqual(['resync'])
})

test('whoever is too slow is told to read everything, and memory is bounded whatever readers do', () => {
  const hub = new EventHub({ keptCharacters: 10_000 })
  using reader = readerOf(hub)
  all(reader)
  for (let n = 0; n < 1000; n++) hub.publish(news(`clone-${n}`))
  expect(subjects(all(reader))).toEqual(['resync'])
  hub.publish(news('after'))
  expect(subjects(all(reader))).toEqual(['after'])
  expect([hub.hasLost(hub.last - 20), hub.hasLost(hub.last - 200)]).toEqual([false, true])
})

test('a loss that nobody knows the extent of has all read everything', () => {
  const hub = new EventHub()
  using reader = readerOf(hub)
  hub.publish(news('a'))
  all(reader)
  hub.lose()
  hub.publish(news('b'))
  expect(subjects(all(reader))).toEqual(['resync'])
})

test('what others alone may hear of is passed over, however much of it there is', () => {
  const hub = new EventHub()
  using reader = readerOf(hub, { wants: ({ owner }: Told) => owner === 'me' })
  all(reader)
  for (let n = 0; n < 500; n++) hub.publish(news(`theirs-${n}`), { owner: 'them' })
  hub.publish(news('mine'), { owner: 'me' })
  expect(subjects(all(reader))).toEqual(['mine'])
})

test('a wait ends with the next event, a wake, the time, the end of the token, or the signal; and not before', async () => {
  const hub = new EventHub()
  const never = new AbortController().signal
  const lasted = async (endsAt: number | undefined, act: () => void, milliseconds = 10_000, signal = never) => {
    using reader = readerOf(hub, { endsAt })
    all(reader)
    const began = performance.now()
    setTimeout(act, 100)
    await reader.wait(milliseconds, signal)
    return performance.now() - began
  }
  const controller = new AbortController()
  const times = [
    await lasted(undefined, () => hub.publish(news('a'))),
    await lasted(undefined, () => hub.wake()),
    await lasted(undefined, () => {}, 100),
    await lasted(Date.now() + 300, () => {}),
    await lasted(undefined, () => controller.abort(), 10_000, controller.signal),
  ]
  for (const time of times) {
    expect(time).toBeGreaterThan(90)
    expect(time).toBeLessThan(5000)
  }
})

test('what was published before the wait is not waited for', async () => {
  const hub = new EventHub()
  using reader = readerOf(hub)
  all(reader)
  hub.publish(news('a'))
  const waited = reader.wait(10_000, new AbortController().signal).then(() => 'ended')
  expect(await Promise.race([waited, delay(1000, 'hangs')])).toBe('ended')
})
