import { hasCode } from '../../src/core/errors.ts'
import type { InstanceDaemon } from '../../src/daemon/instance-daemon.ts'
import { removeTree } from '../../src/worktree/disk.ts'
import type { Note } from './checks.ts'
import type { Federation } from './federation.ts'
import type { SimulatedInstance } from './instance.ts'
import { MemoryFileSystem } from './memory-files.ts'
import { unlessItEnds } from './patience.ts'
import type { Chance, World } from './world.ts'

/** Within so long the connections of one that was thrown out are cut. */
const CUT_WITHIN_MS = 5000

export interface PeopleDeps {
  readonly chance: Chance
  /** Those who are gone for good. */
  readonly lost: Set<SimulatedInstance>
  readonly note: Note
  /** Nobody may notice anything: somebody serves at any moment. */
  readonly isCalm: boolean
}

/** What volunteers and admins do. */
export class People {
  readonly #world: World
  readonly #federation: Federation
  readonly #deps: PeopleDeps

  constructor(federation: Federation, deps: PeopleDeps) {
    this.#world = federation.world
    this.#federation = federation
    this.#deps = deps
  }

  get #running(): SimulatedInstance[] {
    return this.#federation.instances.filter(({ machine, core }) => machine.isRunning && core !== null)
  }

  get #serving(): SimulatedInstance[] {
    return this.#running.filter(({ core }) => core?.daemon.status().state === 'serving')
  }

  async drain(isCancelled: boolean): Promise<void> {
    const running = this.#deps.isCalm ? this.#serving : this.#running
    if (running.length < (this.#deps.isCalm ? 2 : 1)) return
    const instance = this.#deps.chance.one(running)
    const daemon = instance.core?.daemon
    if (daemon === undefined) return
    const deadlineMs = this.#deps.chance.between(3000, 40_000)
    // One that drains already is drained of all of it.
    if (daemon.status().state !== 'draining') instance.drainedFrom.clear()
    for (const { signed } of this.#federation.coordinator.core?.table.homesOf(instance.peerId) ?? []) {
      instance.drainedFrom.set(signed.value.workspace, signed.value.epoch)
    }
    try {
      const request = { deadlineMs, to: null, toRepository: false, planOnly: false, leave: false, atMs: null }
      const cancelling = isCancelled ? this.#cancelSoon(daemon) : undefined
      const drained = daemon.drainAway(request).then((last) => daemon.finishDrain(last))
      await Promise.all([unlessItEnds(this.#world, instance, drained), cancelling])
    } catch (error) {
      if (!hasCode(error, 'OUT_OF_REACH', 'TIMED_OUT', 'ABORTED', 'REFUSED_BY_POLICY', 'ILLEGAL_TRANSITION'))
        throw error
    }
    await this.#startEnded()
  }

  async #cancelSoon(daemon: InstanceDaemon): Promise<void> {
    await this.#world.sleep(this.#deps.chance.between(0, 1500))
    if (!daemon.ended && daemon.status().state !== 'joining') daemon.cancelDrain()
  }

  /** As a volunteer starts it again who is to be of help. */
  async #startEnded(): Promise<void> {
    await this.#world.sleep(this.#deps.chance.between(500, 5000))
    for (const instance of this.#federation.instances) {
      if (instance.ended !== null && !instance.machine.isRunning && !this.#deps.lost.has(instance))
        await instance.start()
    }
  }

  async stopInstance(): Promise<void> {
    // One that has not said hello cannot say farewell either.
    const running = this.#serving
    if (running.length === 0) return
    const instance = this.#deps.chance.one(running)
    if (instance.core !== null) await unlessItEnds(this.#world, instance, instance.core.daemon.flush(10_000))
    await this.#startEnded()
  }

  async move(): Promise<void> {
    const { coordinator } = this.#federation
    const { core } = coordinator
    const workspaces = [...(core?.table.all() ?? [])]
    const targets = core?.fleet.candidates() ?? []
    if (core === null || workspaces.length === 0 || targets.length === 0) return
    const { workspace } = this.#deps.chance.one(workspaces).signed.value
    const { peer } = this.#deps.chance.one(targets)
    const idle = core.doors.idle.bind(core.doors)
    const { signal } = new AbortController()
    // What a move is refused or fails with is its admin's to know.
    const moving = core.director.move(workspace, peer, { idle, signal, keepAsStandby: this.#deps.chance.happens(0.5) })
    await unlessItEnds(this.#world, coordinator, moving).catch(() => undefined)
  }

  /** An instance is killed, and a folder of its workspaces is gone when it comes back. */
  async loseFolder(instance: SimulatedInstance): Promise<void> {
    const homes = this.#federation.coordinator.core?.table.homesOf(instance.peerId) ?? []
    await instance.kill()
    if (homes.length === 0) return
    const { workspace } = this.#deps.chance.one(homes).signed.value
    await removeTree(new MemoryFileSystem(instance.volume), `/${instance.name}/workspaces/${workspace}`)
  }

  /** An admin throws an instance out, which may stand still and not hear of it. I13 */
  async revoke(): Promise<void> {
    const { coordinator, instances } = this.#federation
    const { core } = coordinator
    const running = this.#running
    if (core === null || this.#deps.lost.size > 0 || running.length < 2 || instances.length < 3) return
    const instance = this.#deps.chance.one(running)
    this.#deps.lost.add(instance)
    if (this.#deps.chance.happens(0.5)) instance.machine.pause(2 * CUT_WITHIN_MS)
    const links = core.host.links(instance.peerId)
    const { runs } = coordinator
    await unlessItEnds(this.#world, coordinator, core.registry.revoke(instance.peerId, 'not trusted any more', 'admin'))
    await this.#world.sleep(CUT_WITHIN_MS)
    const isCut = links.every((link) => !core.host.links(instance.peerId).includes(link))
    if (!isCut && coordinator.runs === runs && !coordinator.machine.isPaused) {
      this.#deps.note('I13', `${instance.name} was revoked and is still connected`)
    }
  }
}
