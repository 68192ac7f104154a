const ABSOLUTE = /^https?:\/\/([^/?]+)(.*)$/i

/**
 * The target of a request as apps know it, beginning with `/`. A whole address is taken as a proxy is asked for one
 * (RFC 9112 §3.2.2), where it names the same host as the Host header. Null where it is none.
 */
export function originForm(target: string, host: string | undefined): string | null {
  if (target.includes('#')) return null
  if (target.startsWith('/')) return target
  const [, authority, rest = ''] = ABSOLUTE.exec(target) ?? []
  if (authority === undefined || authority.toLowerCase() !== host?.toLowerCase()) return null
  return rest.startsWith('/') ? rest : `/${rest}`
}
