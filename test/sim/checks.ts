import type { WorkspaceId } from '../../src/core/ids.ts'
import { verifyCertificate } from '../../src/handover/certificate.ts'
import { FILES } from './door.ts'
import type { Federation } from './federation.ts'
import type { SimulatedInstance } from './instance.ts'
import type { SimulatedUser } from './users.ts'

/** What was promised, and is not so. The promise by its number. */
export interface Violation {
  readonly promise: string
  readonly what: string
}

/** Looks at a federation while it works, and notes what must not be. */
export class Checks {
  readonly violations: Violation[] = []
  readonly #federation: Federation
  readonly #epochs = new Map<WorkspaceId, { epoch: number; number: number }>()
  readonly #seenEnds = new Set<object>()

  constructor(federation: Federation) {
    this.#federation = federation
  }

  add(promise: string, what: string): void {
    this.violations.push({ promise, what })
    this.#federation.world.note('check', `${promise} ${what}`)
  }

  /** What must hold at any moment. */
  async look(): Promise<void> {
    this.#epochsRise()
    await this.#exitsAreProven()
  }

  /** I6 */
  #epochsRise(): void {
    const { core } = this.#federation.coordinator
    for (const { signed } of core?.table.all() ?? []) {
      const { workspace, epoch, number } = signed.value
      const before = this.#epochs.get(workspace)
      if (before !== undefined && (epoch < before.epoch || number < before.number)) {
        this.add('I6', `workspace ${workspace} went from epoch ${before.epoch} back to ${epoch}`)
      }
      this.#epochs.set(workspace, { epoch, number })
    }
  }

  /** I7 */
  async #exitsAreProven(): Promise<void> {
    for (const instance of this.#federation.instances) {
      const { ended } = instance
      if (ended === null || this.#seenEnds.has(ended)) continue
      this.#seenEnds.add(ended)
      const wasDrained = instance.events.at(-1)?.event === 'drained'
      if (ended.exitCode === 0 && wasDrained) await this.#isProven(instance)
    }
  }

  async #isProven(instance: SimulatedInstance): Promise<void> {
    const { core } = this.#federation.coordinator
    const name = instance.storage.fileNames().findLast((one) => one.startsWith('certificates/'))
    const bytes = name === undefined ? undefined : instance.storage.file(name)
    if (bytes === undefined) return this.add('I7', `${instance.name} ended with 0 and left no certificate`)
    const { problems } = await verifyCertificate(bytes)
    if (problems.length > 0)
      this.add('I7', `the certificate of ${instance.name} does not verify: ${problems.join('; ')}`)
    const left = core?.table.homesOf(instance.storage.identity.peerId) ?? []
    if (left.length > 0) this.add('I7', `${instance.name} ended with 0 and is home of ${left.length} workspaces`)
  }

  /** I1: what a home acknowledged alone is kept, though another one took over. */
  async isKept(user: SimulatedUser): Promise<void> {
    const { core } = this.#federation.coordinator
    const workspace = core?.table.find(FILES, user.id) ?? null
    if (core === null || workspace === null || user.setAside.size === 0) return
    const heads = await core.repository.diverged(workspace)
    const found: Buffer[] = []
    for (const head of heads) {
      for await (const { bytes } of core.repository.closure(head)) found.push(Buffer.from(bytes))
    }
    for (const text of user.setAside) {
      const start = Buffer.from(text.slice(0, 60))
      if (!found.some((bytes) => bytes.includes(start))) this.add('I1', `${user.id}: "${start}" is in no diverged head`)
    }
  }

  /** I4: what can be seen is there as a whole. */
  async everyHeadIsWhole(): Promise<void> {
    const { core } = this.#federation.coordinator
    if (core === null) return
    for await (const workspace of core.repository.workspaces()) {
      const found = await core.repository.tip(workspace)
      if (found === null) continue
      try {
        for await (const _block of core.repository.closure(found.head));
      } catch (error) {
        this.add('I4', `the tip of ${workspace} is not whole: ${String(error)}`)
      }
    }
  }
}
