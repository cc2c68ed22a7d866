import type { Role } from '@dblab/models'
import type { Request, RequestHandler, Response } from 'express'
import type { JsonObject } from 'swagger-ui-express'
import type { Access } from '../access/access.ts'
import { type Act, targetOf } from '../access/act.ts'
import { UnauthorizedError } from '../access/authenticator.ts'
import { addressOf } from '../access/failed-attempts.ts'
import { leastRoleOf, mayCall } from '../access/roles.ts'
import { LabError } from '../errors.ts'
import type { Services } from '../services.ts'
import { errorTable } from './errors.ts'
import { operationFinder } from './operations.ts'

/**
 * Lets through who may do what it asks for, before anything of its body is read, and writes down who it was. What no operation of the
 * document is passes: nothing answers it.
 */
export function requireAccess({ access, catalogue }: Services, openApi: JsonObject): RequestHandler {
  const operationOf = operationFinder(openApi)
  return async (request, response, next) => {
    const operation = operationOf(request.method, request.path)
    // For the metrics.
    response.locals.template = operation?.template
    if (!operation?.secured) {
      next()
      return
    }
    const { requestId } = response.locals
    const target = targetOf(catalogue, operation.noun, operation.target)
    const act: Act = { ...target, caller: undefined, operation: operation.id, address: addressOf(request), requestId }
    try {
      act.caller = access.authenticator.authenticate(tokenOf(request))
      requireRole(act.caller.role, operation.id)
    } catch (error) {
      throw await refused(error, act, access, request, response)
    }
    response.locals.act = act
    follow(access, act, operation.changes, response)
    next()
  }
}

/** The act of a request that was let through; undefined for any other. */
export function actOf({ res }: Request): Act | undefined {
  return res?.locals.act as Act | undefined
}

function tokenOf(request: Request): string | undefined {
  const bearer = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1]
  return bearer ?? (request.get('Verification-Token') || undefined)
}

function requireRole(role: Role, operation: string): void {
  if (mayCall(role, operation)) return
  throw new LabError('FORBIDDEN', `the token is a ${role}'s, and this takes ${withArticle(leastRoleOf(operation))}`)
}

function withArticle(role: Role): string {
  return role === 'admin' ? 'an admin' : `a ${role}`
}

/** Counts and writes down a refusal. Returns what the sender is told. */
async function refused(error: unknown, act: Act, access: Access, request: Request, response: Response) {
  if (!(error instanceof LabError)) return error
  if (error instanceof UnauthorizedError) act.caller = error.former
  const told =
    error instanceof UnauthorizedError && error.isGuess ? await counted(error, access, request, response) : error
  access.refusals.record(act, { status: errorTable[told.code].status, errorCode: told.code, reason: error.message })
  return told
}

async function counted(error: LabError, { failedAttempts }: Access, request: Request, response: Response) {
  try {
    await failedAttempts.count(request, response)
    return error
  } catch (tooMany) {
    if (tooMany instanceof LabError) return tooMany
    throw tooMany
  }
}

/** A change is written down before it is made, and how it ended after. Of what only reads, refusals are. */
function follow({ audit, refusals }: Access, act: Act, changes: boolean, response: Response): void {
  const entry = changes ? audit.begin(act) : undefined
  response.once('close', () => {
    const status = response.headersSent ? response.statusCode : 0
    const { errorCode, reason } = response.locals as { errorCode?: string; reason?: string }
    if (entry !== undefined) audit.end(entry, act, { status, errorCode, reason })
    else if (reason !== undefined) refusals.record(act, { status, errorCode, reason })
  })
}
