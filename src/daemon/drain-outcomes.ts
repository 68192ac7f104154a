import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { DrainLedger } from '../handover/drain-ledger.ts'
import { DrainProofs, type DrainProofsDeps } from '../handover/drain-proofs.ts'
import type { ControlServer } from '../membership/control-server.ts'
import type { DataFolder } from '../store/state-folder.ts'
import type { DrainReport } from '../wire/control.ts'
import { NO_DRAIN } from './drain-end.ts'
import type { DrainedInstance, DrainRows } from './drain-rows.ts'
import type { Fleet } from './fleet.ts'

export interface DrainOutcomesDeps extends DrainProofsDeps {
  readonly fleet: Pick<Fleet, 'drain' | 'isDraining' | 'isDrained'>
  readonly control: () => Pick<ControlServer, 'session'>
  readonly folder: Pick<DataFolder, 'writeAtomic'>
  readonly clock: Clock
  readonly log: Logger
}

/** What stays of drains that have ended well. */
export class DrainOutcomes {
  readonly #deps: DrainOutcomesDeps
  readonly #rows: DrainRows

  constructor(deps: DrainOutcomesDeps, rows: DrainRows) {
    this.#deps = deps
    this.#rows = rows
  }

  /** The instance is drained, durably on return. Without its certificate here, it is so all the same. */
  async keep(drained: DrainedInstance, certificate: Uint8Array): Promise<void> {
    const { fleet, folder, clock, log } = this.#deps
    const { peer } = drained
    const day = new Date(clock.wall()).toISOString().replaceAll(':', '-')
    try {
      await folder.writeAtomic(`certificates/${day}-${peer}.json`, certificate, { mode: 0o644 })
    } catch (error) {
      log.error({ peer, error: messageOf(error) }, 'an exit certificate was not kept here')
    }
    await this.#rows.keepDrained(drained, () => fleet.isDraining(peer))
  }

  /**
   * How the last drain of an instance has ended, with the certificate, where the process that is connected still awaits
   * that. Null where it does not, or where the drain has not ended well.
   */
  async untold({ peer, stays }: DrainedInstance, ledger: DrainLedger): Promise<DrainReport | null> {
    const { fleet, control } = this.#deps
    if (!fleet.isDrained(peer) || control().session(peer)?.hello.awaitsDrain !== true) return null
    const drain = fleet.drain(peer)
    if (drain?.state === 'drained') return drain.report()
    const proofs = new DrainProofs(this.#deps, peer, ledger)
    if (fleet.isDraining(peer) || !proofs.isComplete) return null
    const total = ledger.taken.size
    const workspaces = { done: total, total }
    const certificate = await proofs.certificate()
    return { ...NO_DRAIN, state: 'drained', workspaces, certificate, exits: !stays, reason: proofs.lastWord }
  }
}
