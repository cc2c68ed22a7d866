import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '@dblab/provision/testbed/ports'
import { execa } from 'execa'
import { firstRow, PASSWORD } from '../lab/clones.ts'

/** An image of Postgres that is on this machine already. */
export interface ContainerImage {
  program: 'docker' | 'podman'
  image: string
}

const RETRY_MS = 10
const DEADLINE_MS = 120_000

/** Nothing is fetched. As a text, why there is none. */
export async function findPostgresImage(): Promise<ContainerImage | string> {
  const reasons: string[] = []
  for (const program of ['docker', 'podman'] as const) {
    const found = await execa(program, ['image', 'ls', '--format', '{{.Repository}}:{{.Tag}}'], { reject: false })
    const image = found.failed ? undefined : postgresImage(found.stdout)
    if (image !== undefined) return { program, image }
    reasons.push(found.failed ? `${program} does not work here` : `${program} has no image of postgres`)
  }
  return reasons.join(', ')
}

/** The first that is named `postgres`, whoever's it is. */
export function postgresImage(list: string): string | undefined {
  return list.split('\n').find((name) => /(^|\/)postgres:(?!<none>)/.test(name))
}

/** Milliseconds from `run` to the first row of the container's empty Postgres; it is gone when this resolves. */
export async function containerStart({ program, image }: ContainerImage): Promise<number> {
  const port = await freePort()
  const name = `dblab-bench-${port}`
  const url = `postgresql://postgres:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/postgres`
  const options = ['--detach', '--rm', '--pull=never', '--name', name, '--publish', `127.0.0.1:${port}:5432`]
  const started = performance.now()
  await execa(program, ['run', ...options, '--env', `POSTGRES_PASSWORD=${PASSWORD}`, image])
  try {
    for (;;) {
      try {
        return await firstRow(url, started)
      } catch (error) {
        // Until it listens; its first start makes a cluster.
        if (performance.now() - started > DEADLINE_MS) throw error
        await sleep(RETRY_MS)
      }
    }
  } finally {
    await execa(program, ['rm', '--force', name])
  }
}
