/** What this program can read; see "Versions" on the page of the control protocol. 0 is who does not say. */
export const REVISION = 2

/** From which revision on a receiver can read it. */
const SINCE = {
  neighbours: 1,
  services: 1,
  report: 1,
  present: 1,
  'drain at a time': 1,
  ingress: 2,
  'owners that are no users': 2,
  role: 2
} as const

/** May this be sent to one who said this in its hello, welcome or description? A kind that is not known resets the stream. */
export const knows = ({ revision }: { readonly revision: number }, what: keyof typeof SINCE): boolean =>
  revision >= SINCE[what]
