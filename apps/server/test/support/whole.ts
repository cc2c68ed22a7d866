import type { Clone, Instance } from '@dblab/models'
import { expect } from 'vitest'
import { eventually, type TestLab } from './lab.ts'
import { leftovers } from './leftovers.ts'

export async function statusOf(lab: TestLab): Promise<Instance> {
  return (await (await lab.fetch('/status')).json()) as Instance
}

/** The clones, once nothing is under way any more. */
export async function settled(lab: TestLab, timeoutMs = 60_000): Promise<Clone[]> {
  const isSettled = ({ status: { code } }: Clone) => code === 'OK' || code === 'FATAL'
  await eventually('every clone settles', async () => (await statusOf(lab)).clones.every(isSettled), timeoutMs)
  return (await statusOf(lab)).clones
}

/** On the machine is what these clones and the base need, and nothing else. */
export async function expectNothingLeft(lab: TestLab, clones: Clone[]): Promise<void> {
  const withVolume = clones.filter(({ status: { code } }) => code === 'OK').length
  const warnings = (await statusOf(lab)).warnings.map((warning) => warning.message)
  expect(warnings).toEqual([])
  // What was retired goes in the background.
  const count = async () => {
    const { volumes, records, sockets } = await leftovers(lab.directory)
    return { volumes: volumes.length, records: records.length, sockets: sockets.length }
  }
  const needed = { volumes: withVolume + 1, records: withVolume, sockets: withVolume }
  await expect.poll(count, { timeout: 20_000, message: lab.output }).toEqual(needed)
  const left = await leftovers(lab.directory)
  expect(left.snapshots).toHaveLength(1)
  expect(new Set(left.servers.map((line) => line.split(' ')[1])).size).toBe(withVolume)
}
