import type { WorkspaceId } from '../../src/core/ids.ts'
import type { ExitStatement } from '../../src/core/records.ts'
import { statementOf, verifyCertificate } from '../../src/handover/certificate.ts'
import { isBusy } from './check-writers.ts'
import type { Note } from './checks.ts'
import type { Federation } from './federation.ts'
import type { SimulatedInstance } from './instance.ts'

/** I7: who ends with 0 after a drain has proven it. */
export class CheckExits {
  readonly #federation: Federation
  readonly #note: Note
  readonly #seen = new Set<object>()

  constructor(federation: Federation, note: Note) {
    this.#federation = federation
    this.#note = note
  }

  async look(): Promise<void> {
    for (const instance of this.#federation.instances) {
      const { ended } = instance
      if (ended === null || this.#seen.has(ended)) continue
      this.#seen.add(ended)
      if (ended.exitCode === 0 && instance.events.at(-1)?.event === 'drained') await this.#isProven(instance)
    }
  }

  async #isProven(instance: SimulatedInstance): Promise<void> {
    const { core, storage } = this.#federation.coordinator
    const name = instance.storage.fileNames().findLast((one) => one.startsWith('certificates/'))
    const bytes = name === undefined ? undefined : instance.storage.file(name)
    if (bytes === undefined) return this.#note('I7', `${instance.name} ended with 0 and left no certificate`)
    const { problems } = await verifyCertificate(bytes)
    if (problems.length > 0) {
      this.#note('I7', `the certificate of ${instance.name} does not verify: ${problems.join('; ')}`)
    }
    const left = core?.table.homesOf(instance.peerId) ?? []
    if (left.length > 0) this.#note('I7', `${instance.name} ended with 0 and is home of ${left.length} workspaces`)
    const { heads } = await statementOf(bytes, storage.identity.peerId)
    for (const [workspace, epoch] of instance.drainedFrom) {
      void this.#isNamed(instance, heads, workspace, epoch).catch(isBusy)
    }
  }

  /** The certificate names the last head: one on which an epoch was sealed since the drain began. */
  async #isNamed(
    instance: SimulatedInstance,
    heads: ExitStatement['heads'],
    workspace: WorkspaceId,
    from: number
  ): Promise<void> {
    const { core } = this.#federation.coordinator
    if (core === null) return
    const bases: string[] = []
    const sealed = await core.repository.sealedEpoch(workspace)
    for (let epoch = from; epoch <= sealed; epoch++) {
      const { base } = await core.repository.seal(workspace, epoch, () => Promise.reject(new Error('sealed already')))
      if (base !== null) bases.push(base.cid.toString())
    }
    const named = heads.find((head) => head.workspace === workspace)?.head.toString()
    if (bases.length === 0 || (named !== undefined && bases.includes(named))) return
    this.#note('I7', `the certificate of ${instance.name} says ${named} of ${workspace}, and sealed was ${bases}`)
  }
}
