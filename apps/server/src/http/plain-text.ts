import type { RequestHandler } from 'express'

/** The version is that of Prometheus' format, which readers of plain text pay no heed to. */
const TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** For answers that are text: the generated routes would quote them as JSON. Errors stay as they are. */
export const plainText: RequestHandler = (_request, response, next) => {
  const json = response.json.bind(response)
  response.json = (body) => {
    if (typeof body !== 'string') return json(body)
    response.setHeader('Content-Type', TYPE)
    return response.end(body)
  }
  next()
}
