import { NodeDaemonError } from '../../src/core/errors.ts'
import type { WorkspaceId } from '../../src/core/ids.ts'
import type { SignedOwnership } from '../../src/core/records.ts'
import type { Note } from './checks.ts'
import type { Federation } from './federation.ts'
import type { SimulatedInstance } from './instance.ts'

/** So many epochs back an instance is asked whether it takes requests. */
const EPOCHS_BACK = 2

/** I5, I6: one writer, in epochs that only rise, each begun where the one before was sealed. */
export class CheckWriters {
  readonly #federation: Federation
  readonly #note: Note
  readonly #isLeaseNeeded: boolean
  readonly #seen = new Map<WorkspaceId, SignedOwnership>()
  #draining: ReadonlySet<string> = new Set()

  /** @param isLeaseNeeded homes acknowledge alone: two that take requests at a time are two writers */
  constructor(federation: Federation, note: Note, isLeaseNeeded: boolean) {
    this.#federation = federation
    this.#note = note
    this.#isLeaseNeeded = isLeaseNeeded
    for (const instance of federation.instances) {
      instance.onSaved.add((workspace, epoch) => this.#isStillHome(instance, workspace, epoch))
    }
  }

  look(): void {
    const { core } = this.#federation.coordinator
    if (core === null || this.#federation.coordinator.isPutBack) return
    for (const { signed } of core.table.all()) {
      const before = this.#seen.get(signed.value.workspace)
      if (before === undefined || before.value.number !== signed.value.number) this.#changed(before ?? null, signed)
      this.#seen.set(signed.value.workspace, signed)
      this.#takersOf(signed)
    }
    const { instances } = this.#federation
    this.#draining = new Set(instances.filter(({ peerId }) => core.fleet.isDraining(peerId)).map(({ name }) => name))
  }

  #changed(before: SignedOwnership | null, { value }: SignedOwnership): void {
    const { workspace, epoch, number, home } = value
    if (before !== null && (epoch < before.value.epoch || number < before.value.number)) {
      this.#note('I6', `workspace ${workspace} went from epoch ${before.value.epoch} back to ${epoch}`)
    }
    if (before?.value.epoch === epoch && before.value.home !== home) {
      this.#note('I5', `workspace ${workspace} has two homes in epoch ${epoch}`)
    }
    if (epoch > 1) void this.#beganAtTheSeal(value).catch(isBusy)
    const { core } = this.#federation.coordinator
    if (before === null || home === null || home === before.value.home || core?.fleet.isDraining(home) !== true) return
    if (this.#draining.has(core.fleet.nameOf(home))) {
      this.#note('I7', `workspace ${workspace} was given to ${core.fleet.nameOf(home)}, which drains`)
    }
  }

  /** In the background: what a process that ends was asked for never comes. */
  async #beganAtTheSeal({ workspace, epoch, base }: SignedOwnership['value']): Promise<void> {
    const { core } = this.#federation.coordinator
    if (core === null) return
    const sealed = await core.repository.sealedEpoch(workspace)
    if (sealed < epoch - 1) return this.#note('I5', `${workspace} is in epoch ${epoch}, and ${epoch - 1} is not sealed`)
    const found = await core.repository.seal(workspace, epoch - 1, () => Promise.reject(new Error('sealed already')))
    const isSame = base === null ? found.base === null : found.base?.cid.equals(base) === true
    if (!isSame) {
      this.#note('I7', `epoch ${epoch} of ${workspace} began at ${base}, and sealed was ${found.base?.cid ?? null}`)
    }
  }

  #takersOf({ value: { workspace, epoch, home } }: SignedOwnership): void {
    const takers: string[] = []
    for (const instance of this.#federation.instances) {
      if (instance.machine.isPaused || instance.core === null) continue
      const epochs = this.#epochsTaken(instance, workspace, epoch)
      if (epochs.length > 1) this.#note('I5', `${instance.name} takes requests of ${workspace} in epochs ${epochs}`)
      if (epochs.some((one) => one > epoch)) this.#note('I6', `${instance.name} is ahead of epoch ${epoch}`)
      if (epochs.includes(epoch) && instance.peerId !== home) {
        this.#note('I5', `${instance.name} takes requests of ${workspace} and is not its home`)
      }
      if (epochs.length > 0) takers.push(instance.name)
    }
    if (this.#isLeaseNeeded && takers.length > 1) this.#note('I5', `${takers} all take requests of ${workspace}`)
  }

  #epochsTaken(instance: SimulatedInstance, workspace: WorkspaceId, epoch: number): number[] {
    const taken: number[] = []
    for (let one = Math.max(1, epoch - EPOCHS_BACK); one <= epoch + 1; one++) {
      if (instance.takes(workspace, one)) taken.push(one)
    }
    return taken
  }

  /** Who acknowledges alone must be the home at that very moment. */
  #isStillHome(instance: SimulatedInstance, workspace: WorkspaceId, epoch: number): void {
    if (!this.#isLeaseNeeded) return
    const now = this.#federation.coordinator.core?.table.get(workspace)?.signed.value
    if (now !== undefined && now.epoch > epoch) {
      this.#note(
        'I5',
        `${instance.name} acknowledged alone in epoch ${epoch} of ${workspace}, which is in ${now.epoch}`
      )
    }
  }
}

/** Asked at a bad moment, the repository answers with an error. */
export function isBusy(error: unknown): void {
  if (!(error instanceof NodeDaemonError) && !String(error).includes('EIO')) throw error
}
