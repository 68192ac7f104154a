import type { KadDHTComponents } from '@libp2p/kad-dht'
import { KAD_LIMITS } from '../wire/kad.ts'

type Datastore = KadDHTComponents['datastore']
type Key = Parameters<Datastore['put']>[0]

/** Provider records only: `/dht/provider/MULTIHASH/PEER`. */
const PROVIDER = /^\/dht\/provider\/([a-z2-7]+)\/([1-9A-HJ-NP-Za-km-z]+)$/

/**
 * What a member keeps for the others, in memory and within bounds: a provider that has too many loses its own oldest,
 * and where all together have too many, the one that has most does.
 */
export class KadRecords implements Pick<Datastore, 'put' | 'get' | 'delete' | 'query'> {
  /** By content, then by provider; the bytes are those of the DHT. */
  readonly #byContent = new Map<string, Map<string, { readonly key: Key; readonly value: Uint8Array }>>()
  /** By provider, its contents, the oldest first. */
  readonly #byProvider = new Map<string, Set<string>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  put(key: Key, value: Uint8Array): Key {
    const { content, provider } = partsOf(key)
    this.#remove(content, provider)
    const providers = this.#byContent.get(content) ?? new Map()
    this.#byContent.set(content, providers.set(provider, { key, value }))
    const contents = this.#byProvider.get(provider) ?? new Set()
    this.#byProvider.set(provider, contents.add(content))
    this.#size++
    if (contents.size > KAD_LIMITS.recordsOfOneMax) this.#removeOldest(provider)
    else if (this.#size > KAD_LIMITS.recordsMax) this.#removeOldest(this.#greediest())
    return key
  }

  get(key: Key): Uint8Array {
    const parts = PROVIDER.exec(key.toString())
    const found = this.#byContent.get(parts?.[1] ?? '')?.get(parts?.[2] ?? '')
    if (found === undefined) throw Object.assign(new Error('no such record'), { name: 'NotFoundError' })
    return found.value
  }

  delete(key: Key): void {
    const { content, provider } = partsOf(key)
    this.#remove(content, provider)
  }

  *query({ prefix = '' }: { prefix?: string }): Generator<{ key: Key; value: Uint8Array }> {
    const content = /^\/dht\/provider\/([a-z2-7]+)$/.exec(prefix)?.[1]
    const found = content === undefined ? [...this.#byContent.values()] : [this.#byContent.get(content) ?? new Map()]
    for (const providers of found) yield* [...providers.values()]
  }

  #greediest(): string {
    let most = ''
    for (const [provider, contents] of this.#byProvider) {
      if (contents.size > (this.#byProvider.get(most)?.size ?? 0)) most = provider
    }
    return most
  }

  #removeOldest(provider: string): void {
    for (const oldest of this.#byProvider.get(provider) ?? []) {
      this.#remove(oldest, provider)
      return
    }
  }

  #remove(content: string, provider: string): void {
    const providers = this.#byContent.get(content)
    if (providers?.delete(provider) !== true) return
    if (providers.size === 0) this.#byContent.delete(content)
    const contents = this.#byProvider.get(provider)
    contents?.delete(content)
    if (contents?.size === 0) this.#byProvider.delete(provider)
    this.#size--
  }
}

function partsOf(key: Key): { content: string; provider: string } {
  const [, content, provider] = PROVIDER.exec(key.toString()) ?? []
  if (content === undefined || provider === undefined) throw new Error('only provider records are kept')
  return { content, provider }
}
