import { join } from 'node:path'

export type Role = 'coordinator' | 'instance'
/** Those, and the one that has no commands of its own. */
type AnyRole = Role | 'front-door'
export const ROLES: readonly Role[] = ['coordinator', 'instance']

/** The data folder of a role where `--data` does not say one: systemd's state directory, else the XDG state folder. */
export function defaultFolder(role: AnyRole, env: Readonly<Record<string, string | undefined>>, home: string): string {
  const fromSystemd = env.STATE_DIRECTORY?.split(':')[0]
  if (fromSystemd) return fromSystemd
  return join(env.XDG_STATE_HOME || join(home, '.local', 'state'), 'node-daemon', role)
}

export const socketOf = (folder: string): string => join(folder, 'control.sock')
