import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** A module of the compiled product, such as `store/level.js`. */
export async function productModule<Module>(dist: string, path: string): Promise<Module> {
  return (await import(pathToFileURL(join(dist, path)).href)) as Module
}
