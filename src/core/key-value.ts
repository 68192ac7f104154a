/** A small ordered map of text to bytes. */
export interface KeyValue {
  get(key: string): Promise<Uint8Array | null>
  /** All of it or nothing. With `durable`, it is fsynced on return; without, it may be lost in a crash, in order from the end. */
  write(changes: KeyValueChanges, options: { readonly durable: boolean }): Promise<void>
  /** The entries whose keys begin with `prefix`, in the order of their keys (by UTF-8 bytes), after `after` where given. */
  entries(range: {
    readonly prefix: string
    readonly after?: string
    readonly limit?: number
  }): AsyncIterable<[string, Uint8Array]>
}

export interface KeyValueChanges {
  readonly put?: readonly (readonly [string, Uint8Array])[]
  readonly remove?: readonly string[]
}

/** A view in which every key gets a prefix. */
export function prefixed(store: KeyValue, prefix: string): KeyValue {
  return {
    get: (key) => store.get(prefix + key),
    write: ({ put = [], remove = [] }, options) =>
      store.write(
        { put: put.map(([key, value]) => [prefix + key, value] as const), remove: remove.map((key) => prefix + key) },
        options
      ),
    async *entries(range) {
      const inner = {
        ...range,
        prefix: prefix + range.prefix,
        ...(range.after !== undefined && { after: prefix + range.after })
      }
      for await (const [key, value] of store.entries(inner)) yield [key.slice(prefix.length), value]
    }
  }
}

/** An implementation that forgets everything: for tests and simulation. */
export function memoryKeyValue(): KeyValue {
  const map = new Map<string, Uint8Array>()
  return {
    get: async (key) => map.get(key) ?? null,
    async write({ put = [], remove = [] }) {
      for (const key of remove) map.delete(key)
      for (const [key, value] of put) map.set(key, value)
    },
    async *entries({ prefix, after, limit = Number.POSITIVE_INFINITY }) {
      const first = Buffer.from(after ?? '')
      const keys = [...map.keys()]
        .filter((key) => key.startsWith(prefix))
        .map((key) => ({ key, bytes: Buffer.from(key) }))
        .filter(({ bytes }) => after === undefined || Buffer.compare(bytes, first) > 0)
        .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
      for (const { key } of keys.slice(0, limit)) {
        const value = map.get(key)
        if (value !== undefined) yield [key, value]
      }
    }
  }
}
