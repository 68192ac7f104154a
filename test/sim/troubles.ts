import { RETENTION } from '../../src/store/repository.ts'
import { halfDone } from './ambush.ts'
import type { Note } from './checks.ts'
import type { SimulatedCoordinator } from './coordinator.ts'
import { corruptBlocks } from './corrupt.ts'
import type { Federation } from './federation.ts'
import type { SimulatedInstance } from './instance.ts'
import type { Machine } from './machine.ts'
import { vanish } from './mass-loss.ts'
import { unlessItEnds } from './patience.ts'
import { People } from './people.ts'
import type { Plan, Trouble } from './plan.ts'
import { Rogues } from './rogues.ts'
import type { Chance, World } from './world.ts'

const TEN_YEARS_MS = 3650 * 24 * 3_600_000

/** Does to a federation what its plan says, one thing after another; some of it lasts a while. */
export class Troubles {
  readonly #world: World
  readonly #federation: Federation
  readonly #plan: Plan
  readonly #chance: Chance
  readonly #lasting = new Set<Promise<void>>()
  readonly #lost = new Set<SimulatedInstance>()
  readonly #note: Note
  readonly #people: People
  readonly #rogues: Rogues
  #stopped = false

  constructor(federation: Federation, plan: Plan, note: Note) {
    this.#world = federation.world
    this.#federation = federation
    this.#plan = plan
    this.#chance = federation.world.chance('troubles')
    this.#note = note
    this.#people = new People(federation, {
      chance: this.#chance,
      lost: this.#lost,
      note,
      isCalm: plan.kind === 'calm'
    })
    this.#rogues = new Rogues(federation, this.#chance, note)
  }

  /** Those who are gone for good, with their disks or without. */
  get lost(): ReadonlySet<SimulatedInstance> {
    return this.#lost
  }

  stop(): void {
    this.#stopped = true
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.#world.sleep(this.#chance.between(0.3, 1.7) * this.#plan.everyMs)
      if (this.#stopped) break
      this.#rogues.remember()
      const trouble = this.#chance.one(this.#plan.troubles)
      this.#world.note('trouble', trouble)
      const lasting: Promise<void> = this.#make(trouble).finally(() => this.#lasting.delete(lasting))
      this.#lasting.add(lasting)
    }
    await Promise.all(this.#lasting)
  }

  /** Everything that can be mended is: all run, on disks that work, on a network that is whole. */
  async mend(): Promise<void> {
    const { network, coordinator, instances } = this.#federation
    network.heal()
    for (const one of [coordinator, ...instances]) Object.assign(one.storage.trouble, { full: false, failing: 0 })
    if (!coordinator.machine.isRunning) await coordinator.start()
    for (const instance of instances) {
      if (!this.#lost.has(instance) && !instance.machine.isRunning) await instance.start()
    }
  }

  /** A drain that nobody waits for any more may still fail at its deadline: whoever finds its process ended starts it again. */
  startFailed(): void {
    for (const instance of this.#federation.instances) {
      const { ended, machine } = instance
      if (ended !== null && ended.exitCode !== 0 && !machine.isRunning && !this.#lost.has(instance))
        void instance.start()
    }
  }

  async #make(trouble: Trouble): Promise<void> {
    const { coordinator } = this.#federation
    switch (trouble) {
      case 'kill-instance':
        return this.#endInstance((instance) => instance.kill(), 8000)
      case 'power-instance':
        return this.#endInstance((instance) => instance.losePower(), 15_000)
      case 'kill-coordinator':
        return this.#endCoordinator(() => coordinator.kill())
      case 'power-coordinator':
        return this.#endCoordinator(() => coordinator.losePower())
      case 'pause-instance':
        return this.#pause(this.#chance.one(this.#federation.instances).machine)
      case 'pause-coordinator':
        return this.#pause(coordinator.machine)
      case 'cut-one-way':
        return this.#cut(false)
      case 'cut-both-ways':
        return this.#cut(true)
      case 'drain':
        return this.#people.drain(false)
      case 'drain-cancelled':
        return this.#people.drain(true)
      case 'stop-instance':
        return this.#people.stopInstance()
      case 'move':
        return this.#people.move()
      case 'wall-clock':
        return this.#setClock()
      case 'disk-full':
        return this.#troubleDisk({ full: true, failing: 0 })
      case 'disk-fails':
        return this.#troubleDisk({ full: false, failing: 0.05 })
      case 'lose-disk':
        return this.#loseDisk()
      case 'flip-byte':
        return this.#flip()
      case 'collect-garbage':
        return this.#collect()
      case 'corrupt-blocks':
        return this.#corrupt()
      case 'lose-folder':
        return this.#endInstance((instance) => this.#people.loseFolder(instance), 1000)
      case 'ambush-kill':
        return this.#ambush((one) => one.kill())
      case 'ambush-power':
        return this.#ambush((one) => one.losePower())
      case 'mass-loss':
        return vanish(this.#federation, this.#chance, this.#note)
      case 'old-backup':
        return this.#restoreBackup()
      case 'full-and-dies':
        return this.#fullAndDies()
      case 'revoke':
        return this.#people.revoke().then(() => this.#rogues.act('knock'))
      case 'lie':
      case 'knock':
      case 'old-words':
        return this.#rogues.act(trouble)
    }
  }

  #running(): SimulatedInstance[] {
    return this.#federation.instances.filter(({ machine, core }) => machine.isRunning && core !== null)
  }

  async #endInstance(end: (instance: SimulatedInstance) => Promise<void>, awayMs: number): Promise<void> {
    const running = this.#running()
    const { kind, instances } = this.#plan
    if (running.length === 0 || (kind === 'death' && running.length < instances)) return
    const instance = this.#chance.one(running)
    await end(instance)
    await this.#world.sleep(this.#chance.between(0, awayMs))
    if (!instance.machine.isRunning) await instance.start()
  }

  async #endCoordinator(end: () => Promise<void>): Promise<void> {
    const { coordinator } = this.#federation
    if (coordinator.core === null) return
    await end()
    await this.#world.sleep(this.#chance.between(0, 5000))
    if (!coordinator.machine.isRunning) await coordinator.start()
  }

  /** One of those whom it concerns ends in the middle of something. */
  async #ambush(end: (one: SimulatedCoordinator | SimulatedInstance) => Promise<void>): Promise<void> {
    const { coordinator } = this.#federation
    const instance = await halfDone(this.#federation, this.#chance)
    const victim = this.#chance.happens(0.4) ? coordinator : instance
    if (victim === null || victim.core === null || !victim.machine.isRunning) return
    await end(victim)
    await this.#world.sleep(this.#chance.between(0, 6000))
    if (!victim.machine.isRunning) await victim.start()
  }

  async #restoreBackup(): Promise<void> {
    const { coordinator } = this.#federation
    if (coordinator.core === null || coordinator.isPutBack) return
    await coordinator.storage.backUp()
    await this.#world.sleep(this.#chance.between(1000, 12_000))
    if (coordinator.machine.isRunning && !coordinator.isPutBack) await coordinator.restoreBackup()
  }

  async #pause(machine: Machine): Promise<void> {
    machine.pause(this.#chance.happens(0.7) ? this.#chance.between(50, 6000) : this.#chance.between(6000, 30_000))
  }

  async #cut(both: boolean): Promise<void> {
    const { network, coordinator, instances } = this.#federation
    const { machine } = this.#chance.one(instances)
    const [from, to] = this.#chance.happens(0.5) ? [machine, coordinator.machine] : [coordinator.machine, machine]
    network.cut(from, to)
    if (both) network.cut(to, from)
    await this.#world.sleep(this.#chance.between(100, 15_000))
    network.healBetween(from, to)
  }

  async #setClock(): Promise<void> {
    const { coordinator, instances } = this.#federation
    this.#chance.one([coordinator, ...instances]).machine.setWall(this.#chance.between(-TEN_YEARS_MS, TEN_YEARS_MS))
  }

  async #troubleDisk(trouble: { readonly full: boolean; readonly failing: number }): Promise<void> {
    const { coordinator, instances } = this.#federation
    const { storage } = this.#chance.one([coordinator, ...instances])
    Object.assign(storage.trouble, trouble)
    await this.#world.sleep(this.#chance.between(200, 10_000))
    Object.assign(storage.trouble, { full: false, failing: 0 })
  }

  /** The main repository is full, and meanwhile a home goes away for a while. */
  async #fullAndDies(): Promise<void> {
    const { trouble } = this.#federation.coordinator.storage
    const running = this.#running()
    if (running.length === 0) return
    trouble.full = true
    await this.#world.sleep(this.#chance.between(300, 3000))
    const instance = this.#chance.one(running)
    if (instance.machine.isRunning) await instance.kill()
    await this.#world.sleep(this.#chance.between(0, 1000))
    trouble.full = false
    await this.#world.sleep(this.#chance.between(3000, 8000))
    if (!instance.machine.isRunning) await instance.start()
  }

  /** Of one machine at most: two copies of everything survive the loss of one. */
  async #loseDisk(): Promise<void> {
    const running = this.#running()
    if (this.#lost.size > 0 || running.length < 2) return
    const instance = this.#chance.one(running)
    this.#lost.add(instance)
    await instance.losePower()
  }

  async #flip(): Promise<void> {
    const { packs } = this.#federation.coordinator.storage
    const names = (await packs.list('repository/packs')).filter((name) => name.endsWith('.car'))
    if (names.length === 0) return
    const path = `repository/packs/${this.#chance.one(names)}`
    const size = (await packs.size(path)) ?? 0
    if (size > 200) packs.flip(path, 100 + this.#chance.below(size - 100))
  }

  async #corrupt(): Promise<void> {
    const { network, coordinator, instances } = this.#federation
    const { machine } = this.#chance.one([coordinator, ...instances])
    const corrupt = corruptBlocks(machine, this.#chance)
    network.onFrame.add(corrupt)
    await this.#world.sleep(this.#chance.between(500, 8000))
    network.onFrame.delete(corrupt)
  }

  async #collect(): Promise<void> {
    const { coordinator } = this.#federation
    if (coordinator.core === null) return
    const collecting = coordinator.core.repository.gc({ policy: RETENTION, full: this.#chance.happens(0.5) })
    await unlessItEnds(this.#world, coordinator, collecting).catch(() => undefined)
  }
}
