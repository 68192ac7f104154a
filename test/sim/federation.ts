import { generateKeyPairFromSeed, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { type Identity, identityFromBytes } from '../../src/core/identity.ts'
import { type Logger, silent } from '../../src/core/log.ts'
import { type CoordinatorSettings, SimulatedCoordinator } from './coordinator.ts'
import { SimulatedInstance } from './instance.ts'
import { type ClockFaults, Machine } from './machine.ts'
import { Network, type Weather } from './network.ts'
import type { World } from './world.ts'

export interface FederationPlan {
  readonly instances: number
  readonly zones: number
  readonly weather: Weather
  readonly settings: CoordinatorSettings
  /** How the clocks of a machine go, by its name. */
  readonly clocks: (name: string) => ClockFaults
}

/** A coordinator and its instances in one world. */
export interface Federation {
  readonly world: World
  readonly network: Network
  readonly coordinator: SimulatedCoordinator
  readonly instances: readonly SimulatedInstance[]
}

const keys = new Map<number, Promise<Identity>>()

/** Always the same keys: they say nothing about what happens. */
function identity(number: number): Promise<Identity> {
  const made = keys.get(number) ?? makeIdentity(number)
  keys.set(number, made)
  return made
}

async function makeIdentity(number: number): Promise<Identity> {
  const key = await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(number + 1))
  return identityFromBytes(privateKeyToProtobuf(key))
}

/** To be called before the world runs: keys are made outside of its time. */
export async function makeFederation(world: World, plan: FederationPlan, log: Logger = silent): Promise<Federation> {
  const network = new Network(world, plan.weather)
  const machine = (name: string, number: number): Machine => {
    const made = new Machine(world, name, `10.0.0.${number + 1}`, plan.clocks(name))
    network.addMachine(made)
    return made
  }
  const coordinator = new SimulatedCoordinator(
    machine('coordinator', 0),
    network,
    await identity(0),
    plan.settings,
    log.child({ at: 'coordinator' })
  )
  const instances: SimulatedInstance[] = []
  for (let number = 1; number <= plan.instances; number++) {
    const name = `i${number}`
    const labels = { zone: `z${number % plan.zones}` }
    const who = { identity: await identity(number), coordinator: coordinator.address, labels }
    instances.push(
      new SimulatedInstance({ machine: machine(name, number), network, log: log.child({ at: name }) }, who)
    )
  }
  return { world, network, coordinator, instances }
}

/** Starts all, and approves the instances. On return they serve. */
export async function begin({ world, coordinator, instances }: Federation): Promise<void> {
  await coordinator.start()
  for (const instance of instances) await instance.start()
  const approved = await world.until(() => approveAll(coordinator) === instances.length, 60_000)
  const serving = await world.until(() => coordinator.core?.fleet.candidates().length === instances.length, 60_000)
  if (!approved || !serving) throw new Error('the federation did not begin')
}

/** As an admin does who trusts everybody. Returns how many are approved. */
function approveAll({ core }: SimulatedCoordinator): number {
  if (core === null) return 0
  const members = core.registry.members()
  for (const { peerId, state } of members) {
    if (state === 'pending') void core.registry.approve(peerId, { by: 'admin' })
  }
  return members.filter(({ state }) => state === 'approved').length
}
