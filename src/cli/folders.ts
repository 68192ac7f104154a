import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const ROLES = ['coordinator', 'instance', 'front-door'] as const
export type Role = (typeof ROLES)[number]

/** The data folder of a role where `--data` does not say one: systemd's state directory, else the XDG state folder. */
export function defaultFolder(role: Role, env: Readonly<Record<string, string | undefined>>, home: string): string {
  const fromSystemd = env.STATE_DIRECTORY?.split(':')[0]
  if (fromSystemd) return fromSystemd
  return join(env.XDG_STATE_HOME || join(home, '.local', 'state'), 'node-daemon', role)
}

export const socketOf = (folder: string): string => join(folder, 'control.sock')

/** Whose folder this is, as its daemon has noted; what is given where nothing says so. */
export function roleOf(folder: string, otherwise: Role): Role {
  try {
    const kind = readFileSync(join(folder, 'kind'), 'utf8').trim()
    return ROLES.find((role) => role === kind) ?? otherwise
  } catch {
    return otherwise
  }
}
