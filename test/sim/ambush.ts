import { CONTROL_PROTOCOL, toInstance } from '../../src/wire/control.ts'
import { HEADS_PROTOCOL } from '../../src/wire/heads.ts'
import type { Federation } from './federation.ts'
import type { SimulatedInstance } from './instance.ts'
import type { OnFrame } from './network.ts'
import type { Chance } from './world.ts'

/** What half of the work hangs on: an order to an instance, something that one of them saved or published. */
const MOMENTS = ['freeze', 'assume', 'order', 'saved', 'saved', 'published'] as const
type Moment = (typeof MOMENTS)[number]

const PATIENCE_MS = 10_000
const SOON_MS = 40

/** Waits for a moment at which something is half done. Resolves with who was about to do it; null where none came. */
export async function halfDone(federation: Federation, chance: Chance): Promise<SimulatedInstance | null> {
  const { world, network, instances } = federation
  const moment = chance.one(MOMENTS)
  const { promise: found, resolve } = Promise.withResolvers<SimulatedInstance | null>()
  const endings = instances.map((instance) => {
    const saved = (): void => {
      if (moment === 'saved') resolve(instance)
    }
    instance.onSaved.add(saved)
    return () => instance.onSaved.delete(saved)
  })
  const see: OnFrame = (frame) => {
    const other = frame.from === federation.coordinator.machine ? frame.to : frame.from
    if (isMoment(moment, frame, other === frame.to)) resolve(instances.find(({ machine }) => machine === other) ?? null)
    return frame.bytes
  }
  network.onFrame.add(see)
  const late = world.after(PATIENCE_MS, () => resolve(null))
  const who = await found
  late.cancel()
  network.onFrame.delete(see)
  for (const end of endings) end()
  if (who !== null) await world.sleep(chance.happens(0.5) ? 0 : chance.between(0, SOON_MS))
  return who
}

function isMoment(moment: Moment, { protocol, bytes }: Parameters<OnFrame>[0], isToInstance: boolean): boolean {
  if (moment === 'published') return protocol.id === HEADS_PROTOCOL.id && !isToInstance
  if (protocol.id !== CONTROL_PROTOCOL.id || moment === 'saved' || !isToInstance) return false
  const message = toInstance.decode(bytes)
  return message.kind === 'order' && (moment === 'order' || message.order.kind === moment)
}
