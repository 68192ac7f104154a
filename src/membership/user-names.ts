const NAME_CHARACTERS_MAX = 64
/** So that a number fits behind it. */
const WANTED_CHARACTERS_MAX = 56

/** The name for a user that is nearest to what somebody is called elsewhere. */
export function nameFrom(text: string): string {
  const plain = text
    .slice(0, 4 * NAME_CHARACTERS_MAX)
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9._@-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, WANTED_CHARACTERS_MAX)
    .replace(/[^a-z0-9]+$/, '')
  return plain === '' ? 'user' : plain
}

/** The first of a name is the name itself, the second has a 2 behind it. */
export const numbered = (name: string, count: number): string => (count === 1 ? name : `${name}-${count}`)
