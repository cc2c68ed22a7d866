// A program: the least that answers, to see what the machine and HTTP alone take.
import { createServer } from 'node:http'

const server = createServer((_request, response) => response.end('{}')).listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.send?.(`http://127.0.0.1:${address.port}/`)
})
process.once('disconnect', () => process.exit())
