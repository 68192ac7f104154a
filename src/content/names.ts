export const MAX_NAME_BYTES = 255

/** Why this cannot be the name of an entry; null when it can. */
export function faultOfName(name: string): string | null {
  if (name === '' || name === '.' || name === '..') return 'is reserved'
  if (name.includes('/') || name.includes('\0')) return 'contains a slash or NUL'
  if (!name.isWellFormed()) return 'is not Unicode text'
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `is longer than ${MAX_NAME_BYTES} bytes`
  return null
}

/** Orders by the bytes of the names, as dag-pb wants its links. */
export function sortedByName<T extends { readonly name: string }>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, bytes: Buffer.from(item.name) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ item }) => item)
}
