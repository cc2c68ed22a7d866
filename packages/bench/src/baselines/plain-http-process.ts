import { createServer } from 'node:http'

/** Answers each path with the text that it was given for it, as JSON, and says its port. */
process.once('message', (answers: Record<string, string>) => {
  const server = createServer((request, response) => {
    response.setHeader('Content-Type', 'application/json; charset=utf-8')
    response.end(answers[request.url ?? ''] ?? '')
  })
  server.listen(0, '127.0.0.1', () => process.send?.(server.address()))
})
