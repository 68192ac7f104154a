import { appSecret } from '../core/app-secret.ts'
import { open, type Signed } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import { type Receipt, receiptRecord, type SignedOwnership } from '../core/records.ts'
import type { MainRepository } from '../store/repository.ts'
import { receiptProblem } from './certificate.ts'
import type { Holdings } from './holdings.ts'
import type { Instances } from './neighbours.ts'

/** The longest that an instance may take to apply a base and serve. */
const ASSUME_MS = 10 * 60_000

interface Deps {
  readonly identity: Identity
  readonly instances: Pick<Instances, 'order'>
  readonly holdings: Holdings
  readonly repository: Pick<MainRepository, 'head'>
}

/** Has the home of the record serve. It does on return; its receipt for the base, where it gave one that proves it. */
export async function orderAssume(
  { identity, instances, holdings, repository }: Deps,
  { value, bytes }: SignedOwnership
): Promise<Signed<Receipt> | null> {
  const { home, base, workspace } = value
  if (home === null) throw new NodeDaemonError('CONFLICT', 'nobody is the home')
  const order = { kind: 'assume', ownership: bytes, secret: appSecret(identity, workspace) } as const
  const answer = await instances.order(home, order, ASSUME_MS)
  const receipt = answer.length === 0 ? null : await open(receiptRecord, answer, home)
  const head = receipt === null || base === null ? null : await repository.head(base)
  if (receipt === null || head === null || receiptProblem(receipt, head, null) !== null) return null
  holdings.note(receipt)
  return receipt
}
