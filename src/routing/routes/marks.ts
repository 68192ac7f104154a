/** The marks that a redirect puts at the end of an address, and that are taken off before an app sees it. */
const TICKET = 'nd_ticket'
const BACK = 'nd_back'

export interface Marked {
  /** The address without the mark. */
  readonly url: string
  readonly value: string
}

const marked = (url: string, name: string, value: string): string =>
  `${url}${url.includes('?') ? '&' : '?'}${name}=${value}`

/** The mark at the end of an address; null where there is none. Elsewhere in it the name is the app's. */
function markOf(url: string, name: string): Marked | null {
  const at = url.lastIndexOf(`${name}=`)
  if (at < 1) return null
  const before = url.charAt(at - 1)
  const value = url.slice(at + name.length + 1)
  if ((before !== '?' && before !== '&') || !/^[\w.-]*$/.test(value)) return null
  return { url: url.slice(0, at - 1), value }
}

export const withTicket = (url: string, ticket: string): string => marked(url, TICKET, ticket)
export const ticketIn = (url: string): Marked | null => markOf(url, TICKET)

/** `epoch`: of the workspace as the ingress that sends back knew it; 0 where it knew nothing. */
export const withBack = (url: string, epoch: number): string => marked(url, BACK, String(epoch))

/** An address with which an ingress sent a user back; null for any other. */
export function backIn(url: string): { readonly url: string; readonly epoch: number } | null {
  const mark = markOf(url, BACK)
  return mark === null || !/^\d{1,15}$/.test(mark.value) ? null : { url: mark.url, epoch: Number(mark.value) }
}
