/** What no fault may do: something is lost, left over, or stuck. */
export type ViolationKind = 'lost' | 'orphaned' | 'stuck' | 'wrong'

export class Violation extends Error {
  override readonly name = 'Violation'
  readonly kind: ViolationKind

  constructor(kind: ViolationKind, message: string) {
    super(`${kind.toUpperCase()}: ${message}`)
    this.kind = kind
  }
}
