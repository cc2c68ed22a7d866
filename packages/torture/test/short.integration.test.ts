import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeDriver, isLong, isRoot } from '@dblab/provision/testbed'
import { RUNNER_FAILED, runnerIsHere, zfsIsHere } from '@dblab/provision/testbed/zfs-runner'
import { expect, test } from 'vitest'

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))

async function torture(...args: string[]): Promise<{ code: number; output: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'torture-run-'))
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const [code] = await once(child, 'close')
  if (code === 0 || code === RUNNER_FAILED) await rm(directory, { recursive: true })
  else output += `\nWhat is left of it is in ${directory}\n`
  return { code, output }
}

// The longest form is a command of its own, with as many kills as one has time for.
describeDriver('btrfs', isRoot ? undefined : 'its pool takes root', () => {
  test('a lab on btrfs loses nothing and leaves nothing in a short torture', { timeout: 1_200_000 }, async () => {
    const { code, output } = await torture('--kills', isLong ? '20' : '8', '--no-shrink')
    console.log(output)
    expect(output).toMatch(/0 lost, 0 orphaned, 0 stuck after \d+ kills/)
    expect(code).toBe(0)
  })
})

const zfsMissing =
  zfsIsHere() || runnerIsHere()
    ? undefined
    : 'ZFS does not work here (zpool list), and ZFS_RUNNER names nothing that has it'
describeDriver('zfs', zfsMissing, () => {
  const underRunner = !zfsIsHere()
  const title = 'a lab on OpenZFS loses nothing and leaves nothing in a short torture'
  // A kernel within the kernel takes minutes to start a server where that itself runs on one.
  const name = underRunner ? `${title} (under the runner; with DBLAB_LONG_TESTS)` : title
  test.skipIf(underRunner && !isLong)(name, { timeout: 1_800_000 }, async () => {
    const argv = ['--kills', '4', '--driver', 'zfs', '--no-shrink']
    let run = await torture(...argv)
    // A kernel of the runner that crashed says nothing of the lab.
    for (let attempt = 2; run.code === RUNNER_FAILED && attempt <= 5; attempt++) {
      console.warn(`${run.output}\nthe runner itself failed; attempt ${attempt} of 5`)
      run = await torture(...argv)
    }
    console.log(run.output)
    expect(run.output).toMatch(/0 lost, 0 orphaned, 0 stuck after \d+ kills/)
    expect(run.code).toBe(0)
  })
})
