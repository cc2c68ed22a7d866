import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { createLogger, transports } from 'winston'
import { answerUnreadable } from './unreadable.ts'

describe('answerUnreadable', () => {
  test.each([
    ['no HTTP', 'canary\r\n\r\n', 400],
    ['headers that are too large', `GET / HTTP/1.1\r\nHost: lab\r\nX: ${'canary'.repeat(5000)}\r\n\r\n`, 431],
    ['a request that never ends', 'GET / HTTP/1.1\r\nHost: lab\r\nX: canary', 408],
    ['an expectation of its own', 'GET / HTTP/1.1\r\nHost: lab\r\nExpect: canary\r\n\r\n', 417],
    ['a client that takes it for a proxy', 'CONNECT canary:443 HTTP/1.1\r\nHost: canary\r\n\r\n', 405],
  ])('answers %s in the form of an error', async (_what, sent, status) => {
    const timeouts = { requestTimeout: 100, headersTimeout: 100, connectionsCheckingInterval: 50 }
    const server = createServer(timeouts).listen(0, '127.0.0.1')
    answerUnreadable(server, createLogger({ silent: true, transports: [new transports.Console()] }))
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no TCP address')
    const socket = connect(address.port, '127.0.0.1')
    socket.write(sent)
    const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n')
    server.close()
    await once(server, 'close')
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    const error = JSON.parse(body)
    const code = status === 405 ? 'METHOD_NOT_ALLOWED' : 'INVALID_REQUEST'
    expect(error).toMatchObject({ code, name: expect.any(String), requestId: expect.any(String) })
    expect(head).toContain(`X-Request-Id: ${error.requestId}`)
    expect(body).not.toContain('canary')
  })
})
