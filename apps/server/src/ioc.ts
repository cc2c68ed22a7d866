import type { IocContainer, IocContainerFactory } from '@tsoa/runtime'
import type { Request } from 'express'
import { type CallerServices, callerServices } from './access/caller-services.ts'
import { actOf } from './http/access.ts'
import { servicesOf } from './services.ts'

type ControllerClass<T> = new (services: CallerServices) => T

/** A controller of its own for every request, with what its sender may use: tsoa keeps the answer's status and headers in it. */
export const iocContainer: IocContainerFactory<Request> = (request): IocContainer => ({
  // The generated routes ask with the class itself; tsoa's type allows for containers that go by name too.
  get: <T>(controller: unknown): T =>
    new (controller as ControllerClass<T>)(callerServices(servicesOf(request), actOf(request))),
})
