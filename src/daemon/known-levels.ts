import type { ServiceName } from '../core/ids.ts'
import type { AcknowledgeLevel, ServiceLevel, Welcome } from '../wire/control.ts'

/** At which level changes are acknowledged, as the coordinator said last. */
export class KnownLevels {
  #others: AcknowledgeLevel = 'replicated'
  #named: ReadonlyMap<ServiceName, AcknowledgeLevel> = new Map()

  welcomed({ acknowledge, services }: Pick<Welcome, 'acknowledge' | 'services'>): void {
    this.#others = acknowledge
    this.told(services)
  }

  told(services: readonly ServiceLevel[]): void {
    this.#named = new Map(services.map(({ name, acknowledge }) => [name, acknowledge]))
  }

  of(service: ServiceName): AcknowledgeLevel {
    return this.#named.get(service) ?? this.#others
  }
}
