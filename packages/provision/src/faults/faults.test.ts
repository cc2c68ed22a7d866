import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { CommandError, run } from '../exec.ts'
import { armFaults, type FaultAction, failPoint, failPointNow, InjectedFault, parseFaultPlan } from './faults.ts'
import { COMMON_POINTS, commandName, DRIVER_POINTS } from './points.ts'

const once = (point: string, action: FaultAction, skip = 0) => armFaults({ faults: [{ point, action, skip }] })

describe('fail points', () => {
  afterEach(() => armFaults(undefined))

  test('do nothing, and await nothing, unless a test armed them', () => {
    expect(failPoint('create.promised')).toBeUndefined()
    expect(failPointNow('delete.promised')).toBeUndefined()
  })

  test('strike once, after as many passes as they were told to let go', async () => {
    once('create.promised', 'throw', 1)
    await failPoint('create.promised')
    await expect(failPoint('create.promised')).rejects.toThrow(InjectedFault)
    await failPoint('create.promised')
    await failPoint('create.settled')
  })

  test('strike within work that must not await', () => {
    once('delete.promised', 'throw')
    expect(() => failPointNow('delete.promised')).toThrow(InjectedFault)
  })

  test('have a driver’s program fail without having run, or though it did its work', async () => {
    once('before btrfs --version', 'throw')
    await expect(run(['btrfs', '--version'])).rejects.toThrow('a fault was injected at before btrfs --version')
    once('after btrfs --version', 'throw')
    await expect(run(['btrfs', '--version'])).rejects.toThrow(CommandError)
    expect(await run(['true'])).toMatchObject({ stdout: '' })
  })

  test('kill the process, and tell of it before', () => {
    const log = join(mkdtempSync(join(tmpdir(), 'faults-')), 'log')
    const plan = JSON.stringify({ log, faults: [{ point: 'create.promised', action: 'kill' }] })
    const module = new URL('./faults.ts', import.meta.url).href
    const program = `import { armFaults, failPoint, parseFaultPlan } from '${module}'
      armFaults(parseFaultPlan(process.argv[1]))
      await failPoint('create.settled')
      await failPoint('create.promised')
      console.log('still here')`
    const { signal, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', program, plan])
    expect([signal, String(stdout)]).toEqual(['SIGKILL', ''])
    expect(readFileSync(log, 'utf8')).toBe(
      'reached create.settled\nreached create.promised\nstruck create.promised kill\n',
    )
    rmSync(join(log, '..'), { recursive: true })
  })

  test.each(['', '{', '[]', '{"faults":[{}]}', '{"faults":[null]}', '{"faults":[{"point":"x","action":"hug"}]}'])(
    'refuse %j as a plan',
    (text) => expect(() => parseFaultPlan(text)).toThrow('the plan of faults is n'),
  )

  test('bear names that are all different', () => {
    const all = [...COMMON_POINTS, ...DRIVER_POINTS.btrfs, ...DRIVER_POINTS.zfs]
    expect(new Set(all).size).toBe(all.length)
  })

  test('name a program by the words that tell what it does', () => {
    expect(commandName(['btrfs', 'subvolume', 'snapshot', '-r', '/a', '/b'])).toBe('btrfs subvolume snapshot')
    expect(commandName(['zfs', 'clone', '-o', 'x=y', 'a@b', 'c'])).toBe('zfs clone')
    expect(commandName(['umount', '/a'])).toBe('umount')
    expect(commandName(['psql', '--version'])).toBeUndefined()
  })
})
