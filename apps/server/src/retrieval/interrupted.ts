import { ProvisionError, type ProvisionErrorOptions } from '@dblab/provision'

/** What a source or a tool could not end, for a reason that may be gone the next time: a broken connection, a killed program. */
export class InterruptedError extends ProvisionError {
  constructor(message: string, options: ProvisionErrorOptions = {}) {
    super('UNAVAILABLE', message, options)
  }
}
