import { NodeDaemonError } from '../core/errors.ts'
import { pairingCode } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'
import { parse } from '../core/parse.ts'

const CODE_LENGTH_MAX = 80

/** As typed: people write codes with spaces and capitals too. */
const plain = (code: string): string =>
  parse
    .line(code, CODE_LENGTH_MAX)
    .toLowerCase()
    .replaceAll(/[\s-]+/g, '-')

/** @throws NodeDaemonError `REFUSED_BY_POLICY` when an admin gives another code than the peer has */
export function checkCode(code: string, peer: { readonly name: string; readonly code: string }): void {
  if (plain(code) === peer.code) return
  throw new NodeDaemonError('REFUSED_BY_POLICY', `"${plain(code)}" is not the code of ${peer.name}`, {
    advice: 'compare the code with the one on the volunteer’s screen; if they differ, somebody else is asking'
  })
}

/** @throws NodeDaemonError `WRONG_COORDINATOR` when a volunteer gives another code than these two keys have */
export function checkOwnCode(code: string, instance: PeerIdText, coordinator: PeerIdText): void {
  const actual = pairingCode(instance, coordinator)
  if (plain(code) === actual) return
  throw new NodeDaemonError('WRONG_COORDINATOR', `"${plain(code)}" is not the code with this coordinator`, {
    advice: 'somebody else may be at that address: compare the code with the admin’s before you go on'
  })
}
