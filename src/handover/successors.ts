import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Ownership } from '../core/records.ts'
import { chooseSuccessor } from '../placement/place.ts'
import type { Holdings } from './holdings.ts'
import type { Instances } from './neighbours.ts'

export interface SuccessorsDeps {
  readonly instances: Pick<Instances, 'candidates'>
  readonly holdings: Holdings
  readonly usedBytes: (workspace: WorkspaceId) => number
}

/** Who may become the home of a workspace. */
export class Successors {
  readonly #deps: SuccessorsDeps

  constructor(deps: SuccessorsDeps) {
    this.#deps = deps
  }

  /** Where a move leads to: another instance where the target does not take over, or takes nothing any more. */
  target(value: Ownership, to: PeerIdText | null, tried: readonly PeerIdText[]): PeerIdText | null {
    if (to === null) return null
    const candidates = this.#deps.instances.candidates()
    const isOpen =
      tried.length === 0 && candidates.some((one) => one.peer === to && one.services.includes(value.service))
    return isOpen ? to : this.next(value, [...tried, to])
  }

  /** The best of those that are not excluded; null where there is none. */
  next(value: Ownership, excluded: readonly (PeerIdText | null)[]): PeerIdText | null {
    const { instances, holdings, usedBytes } = this.#deps
    const { workspace, service, standbys } = value
    const candidates = instances.candidates().filter(({ peer }) => !excluded.includes(peer))
    const what = { workspace, service, bytes: usedBytes(workspace) }
    return chooseSuccessor(what, standbys, (peer) => holdings.sequence(workspace, peer), candidates)
  }
}
