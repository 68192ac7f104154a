import type { WorkspaceId } from '../../src/core/ids.ts'
import { CONTROL_PROTOCOL, fromInstance, toInstance } from '../../src/wire/control.ts'
import type { Note } from './checks.ts'
import type { Federation } from './federation.ts'
import type { SimulatedInstance } from './instance.ts'
import type { OnFrame } from './network.ts'

const KNOCK_AFTER_MS = [0, 1, 5, 20, 100]

/** I5: from the moment in which a home says that it is frozen, it takes nothing before it is told anything else. */
export class CheckFrozen {
  readonly #federation: Federation
  readonly #note: Note
  /** Freezes that were ordered and not answered, by the order's number. */
  readonly #ordered = new Map<SimulatedInstance, Map<number, WorkspaceId>>()
  /** Raised with each order to an instance. */
  readonly #orders = new Map<SimulatedInstance, number>()

  constructor(federation: Federation, note: Note) {
    this.#federation = federation
    this.#note = note
    for (const instance of federation.instances) this.#ordered.set(instance, new Map())
    federation.network.onFrame.add(this.#see)
  }

  readonly #see: OnFrame = ({ from, to, protocol, bytes }) => {
    if (protocol.id !== CONTROL_PROTOCOL.id) return bytes
    const { coordinator, instances } = this.#federation
    const instance = instances.find(({ machine }) => machine === (from === coordinator.machine ? to : from))
    if (instance === undefined) return bytes
    if (from === coordinator.machine) this.#told(instance, bytes)
    else if ((this.#ordered.get(instance)?.size ?? 0) > 0) this.#answers(instance, bytes)
    return bytes
  }

  #told(instance: SimulatedInstance, bytes: Uint8Array): void {
    const message = toInstance.decode(bytes)
    // Each connection counts its orders anew.
    if (message.kind === 'welcome') this.#ordered.get(instance)?.clear()
    if (message.kind !== 'order') return
    this.#orders.set(instance, this.#ordersOf(instance) + 1)
    if (message.order.kind === 'freeze') this.#ordered.get(instance)?.set(message.id, message.order.workspace)
  }

  #ordersOf(instance: SimulatedInstance): number {
    return this.#orders.get(instance) ?? 0
  }

  #answers(instance: SimulatedInstance, bytes: Uint8Array): void {
    const message = fromInstance.decode(bytes)
    if (message.kind !== 'done') return
    const workspace = this.#ordered.get(instance)?.get(message.order)
    this.#ordered.get(instance)?.delete(message.order)
    if (workspace === undefined || message.failure !== null) return
    const { runs } = instance
    const orders = this.#ordersOf(instance)
    const isUntold = (): boolean => instance.runs === runs && this.#ordersOf(instance) === orders
    for (const ms of KNOCK_AFTER_MS) {
      this.#federation.world.after(ms, () => {
        if (isUntold()) this.#knock(instance, workspace)
      })
    }
  }

  #knock(instance: SimulatedInstance, workspace: WorkspaceId): void {
    const epoch = this.#federation.coordinator.core?.table.get(workspace)?.signed.value.epoch ?? 1
    if (instance.takes(workspace, epoch))
      this.#note('I5', `${instance.name} is frozen and takes requests of ${workspace}`)
  }
}
