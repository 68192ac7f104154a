import type { CID } from 'multiformats/cid'
import type { Signed } from '../core/envelope.ts'
import type { Receipt, SignedHead } from '../core/records.ts'

/** The main repository, as far as it proves what it holds. */
export interface RepositoryProof {
  /** Its signed receipt for a head whose closure is durable in it. */
  receiptFor(head: SignedHead): Promise<Signed<Receipt>>
  head(cid: CID): Promise<SignedHead | null>
}
