import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, test } from 'vitest'
import { PortSteering } from '../../src/steering/port-steering.ts'
import { command, freePort, isRoot } from '../../testbed/index.ts'

const PINS = '/sys/fs/bpf'
const lacking = isRoot ? '' : ' (skipped: only root may steer ports)'

describe.skipIf(lacking !== '' || !existsSync(PINS))(`ports that another server answers at${lacking}`, () => {
  const labs: string[] = []
  const newLab = () => {
    const id = `test-${process.pid}-${labs.length}`
    labs.push(id)
    return id
  }

  afterEach(() => {
    expect(pinsOf(labs)).toEqual([])
  })

  test('new connections come to it, at its own addresses alone, and its own port goes on', async () => {
    await using steering = new PortSteering(newLab())
    await using server = await listener('a', '127.0.0.1')
    const port = await freePort()
    await steering.steer(port, server)
    expect(await answerAt(port)).toBe(`a at 127.0.0.1:${port}`)
    expect(await answerAt(server.port)).toBe(`a at 127.0.0.1:${server.port}`)
    await expect(answerAt(port, '127.0.0.2')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await expect(answerAt(port, '::1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('one that listens at every address is reached at every address', async () => {
    await using steering = new PortSteering(newLab())
    await using server = await listener('all', '0.0.0.0', '::')
    const port = await freePort()
    await steering.steer(port, server)
    for (const host of ['127.0.0.1', '127.0.0.9', '::1']) expect(await answerAt(port, host)).toMatch(/^all at /)
  })

  test('a port at which others listen is IN_USE', async () => {
    await using steering = new PortSteering(newLab())
    await using stranger = await listener('stranger', '127.0.0.1')
    await using server = await listener('a', '127.0.0.1')
    await expect(steering.steer(stranger.port, server)).rejects.toMatchObject({ code: 'IN_USE' })
    expect(await answerAt(stranger.port)).toMatch(/^stranger /)
  })

  test('it comes before who is to give way, gives way to the next, and what has begun goes on', async () => {
    await using steering = new PortSteering(newLab())
    await using bound = await listener('bound', '127.0.0.1')
    const { port } = bound
    const open = connect(port, '127.0.0.1')
    await once(open, 'connect')
    {
      await using first = await listener('first', '127.0.0.1')
      await steering.steer(port, first, { before: bound })
      expect(await answerAt(port)).toMatch(/^first /)
      await using second = await listener('second', '127.0.0.1')
      await steering.steer(port, second)
      expect(await answerAt(port)).toMatch(/^second /)
      open.end('\n')
      expect(await text(open)).toMatch(/^bound /)
    }
    // Both have ended: the port is whose it was.
    expect(await answerAt(port)).toMatch(/^bound /)
  })

  test('it outlives the process that steers, and another one of the lab goes on from there', async () => {
    const lab = newLab()
    await using server = await listener('a', '127.0.0.1')
    const [port, another] = [await freePort(), await freePort()]
    {
      await using first = new PortSteering(lab)
      await first.steer(port, server)
    }
    expect(pinsOf([lab])).toHaveLength(2)
    expect(await answerAt(port)).toMatch(/^a /)
    await using second = new PortSteering(lab)
    await second.steer(another, server)
    expect(await answerAt(another)).toMatch(/^a /)
    expect(await answerAt(port)).toMatch(/^a /)
    await server[Symbol.asyncDispose]()
  })

  test('a connection that the server has is not taken for where it listens', async () => {
    await using steering = new PortSteering(newLab())
    await using server = await listener('a', '127.0.0.1')
    const port = await freePort()
    const open = connect(server.port, '127.0.0.1')
    await once(open, 'connect')
    // Accepted by the time another one is answered.
    await answerAt(server.port)
    await steering.steer(port, server)
    expect(await answerAt(port)).toMatch(/^a /)
    open.end('\n')
    await text(open)
    expect(await answerAt(port)).toMatch(/^a /)
  })

  test('while it leads elsewhere nobody else is bound to it; released, it is anybody’s', async () => {
    await using steering = new PortSteering(newLab())
    await using server = await listener('a', '127.0.0.1')
    const port = await freePort()
    await steering.steer(port, server)
    await steering.steer(port, server)
    await expect(listener('another', `127.0.0.1:${port}`)).rejects.toThrow()
    await steering.release(port)
    await expect(answerAt(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await using another = await listener('another', `127.0.0.1:${port}`)
    expect(await answerAt(another.port)).toMatch(/^another /)
  })

  test('what a process of another network has left is made anew', async () => {
    const lab = newLab()
    const script = `
      import { createServer } from 'node:net'
      import { PortSteering } from '${import.meta.dirname}/../../src/steering/port-steering.ts'
      const server = createServer().listen(0, '0.0.0.0', async () => {
        await new PortSteering('${lab}').steer(1, { pid: process.pid, port: server.address().port })
        process.kill(process.pid, 'SIGKILL')
      })`
    const argv = ['--net', process.execPath, '--input-type=module-typescript', '-e', script]
    await once(spawn('unshare', argv, { stdio: 'inherit' }), 'exit')
    expect(pinsOf([lab])).toHaveLength(2)
    await using steering = new PortSteering(lab)
    await using server = await listener('a', '127.0.0.1')
    const port = await freePort()
    await steering.steer(port, server)
    expect(await answerAt(port)).toMatch(/^a /)
  })

  test('an ordinary account is told what it lacks, and finds nothing steered', async () => {
    const script = `
      import { PortSteering } from '${import.meta.dirname}/../../src/steering/port-steering.ts'
      const steering = new PortSteering('${newLab()}')
      const error = await steering.check().catch((error) => error)
      await steering.release(1)
      console.log(JSON.stringify([error.code, error.hint, [...(await steering.ports())]]))
      await steering[Symbol.asyncDispose]()`
    const account = ['--reuid=65534', '--regid=65534', '--clear-groups']
    const told = await command('setpriv', ...account, process.execPath, '--input-type=module-typescript', '-e', script)
    expect(JSON.parse(told)).toEqual(['UNAVAILABLE', expect.stringContaining('CAP_BPF'), []])
  })

  test('connections of a process that stands still are ended, and what it listens at is not', async () => {
    await using steering = new PortSteering(newLab())
    await using server = await listener('a', '127.0.0.1')
    const opened = () => readdirSync(`/proc/${server.pid}/fd`).length
    const before = opened()
    const open = connect(server.port, '127.0.0.1')
    await once(open, 'connect')
    await expect.poll(opened).toBeGreaterThan(before)
    process.kill(server.pid, 'SIGSTOP')
    await steering.hangUp([server.pid, 2 ** 22 + 1])
    expect(await text(open)).toBe('')
    process.kill(server.pid, 'SIGCONT')
    expect(await answerAt(server.port)).toMatch(/^a /)
  })

  test('what nobody listens at can’t be given: it FAILED, and nothing has changed', async () => {
    await using steering = new PortSteering(newLab())
    await using server = await listener('a', '127.0.0.1')
    const port = await freePort()
    await expect(steering.steer(port, { pid: server.pid, port })).rejects.toMatchObject({ code: 'FAILED' })
    await server[Symbol.asyncDispose]()
    await expect(steering.steer(port, server)).rejects.toMatchObject({ code: 'FAILED' })
    await expect(answerAt(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})

/**
 * A server of another process, which answers with its name and where it was reached, once the other side has said something.
 *
 * @param addresses a host each, or a host of IPv4 and a port
 */
async function listener(name: string, ...addresses: string[]) {
  const script = `
    const { createServer } = require('node:net')
    const answer = (socket) => socket.once('data', () => socket.end(${JSON.stringify(name)} + ' at ' + socket.localAddress + ':' + socket.localPort))
    const listen = (port, [address, ...others]) => {
      if (address === undefined) return console.log(port)
      const [host, given = port] = address === '::' ? [address] : address.split(':')
      const at = { port: given, host, ipv6Only: true }
      const server = createServer(answer).listen(at, () => listen(server.address().port, others))
    }
    listen(0, ${JSON.stringify(addresses)})`
  const child: ChildProcess = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = once(child, 'exit').then(() => Promise.reject(new Error(`${name} ended before it listened`)))
  ended.catch(() => undefined)
  const [line] = await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), ended])
  return {
    pid: child.pid ?? 0,
    port: Number(line),
    async [Symbol.asyncDispose]() {
      if (!child.kill('SIGKILL')) return
      await once(child, 'exit')
    },
  }
}

async function answerAt(port: number, host = '127.0.0.1'): Promise<string> {
  const socket = connect(port, host)
  await once(socket, 'connect')
  socket.write('\n')
  return text(socket)
}

function pinsOf(labs: readonly string[]): string[] {
  return readdirSync(PINS).filter((name) => labs.some((id) => name.startsWith(`dblab-${id}-`)))
}
