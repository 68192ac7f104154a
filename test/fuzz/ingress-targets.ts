import { systemRandom } from '../../src/core/random.ts'
import { dress } from '../../src/routing/routes/dress.ts'
import { backIn, ticketIn, withBack, withTicket } from '../../src/routing/routes/marks.ts'
import { TICKET_LIMITS, TicketCheck, TicketOffice } from '../../src/routing/routes/tickets.ts'
import { manualClock } from '../tools/clock.ts'
import { type FuzzTarget, line, text, textTarget } from './target.ts'

const LINES = ['x-remote-user', 'user:alice', 'x-workspace-id', 'a'.repeat(32)]
const clock = manualClock()
const key = { id: '0011223344556677', secret: new Uint8Array(32).fill(7), madeAt: clock.now() }
const office = new TicketOffice(key, { clock, random: systemRandom() })
const direct = office.direct(LINES)
const redirect = office.redirect('https://main.example', LINES)

/** A check that has seen no ticket yet. */
function freshCheck(): TicketCheck {
  const check = new TicketCheck(clock)
  check.learn(key, true)
  return check
}

function checkMark(url: string): void {
  const ticket = ticketIn(url)
  if (ticket !== null && !url.endsWith(`nd_ticket=${ticket.value}`)) throw new Error('it is not the end of an address')
  const back = backIn(url)
  if (back !== null && !(Number.isSafeInteger(back.epoch) && back.epoch >= 0)) throw new Error('an epoch is none')
  if (ticketIn(withTicket(url, 'a.b'))?.url !== url) throw new Error('what was sent on is another address')
  if (backIn(withBack(url, 7))?.url !== url) throw new Error('what was sent back is another address')
}

/** As the parser of node gives the lines of a request: names without what ends one. */
function requestOf(input: Uint8Array): { headers: Record<string, string>; rawHeaders: string[] } {
  const rawHeaders = text(input)
    .split('\n')
    .flatMap((one) => {
      const colon = one.indexOf(':')
      return colon < 1 ? [] : [one.slice(0, colon).trim(), one.slice(colon + 1).trim()]
    })
  const headers: Record<string, string> = {}
  for (let index = 0; index < rawHeaders.length; index += 2) {
    headers[rawHeaders[index]?.toLowerCase() ?? ''] = rawHeaders[index + 1] ?? ''
  }
  return { headers, rawHeaders }
}

const OURS = /^x[-_](?:workspace|node[-_]daemon|remote)[-_]/i

function checkDress(input: Uint8Array, forwarded: boolean): void {
  const request = requestOf(input)
  dress(request, LINES, { forwarded })
  const { rawHeaders, headers } = request
  for (let index = 0; index < rawHeaders.length - LINES.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (OURS.test(name)) throw new Error(`"${name}" is believed`)
    if (name.toLowerCase() === 'cookie' && /(?:^|;)\s*nd_(?:ingress|session)\s*=/.test(rawHeaders[index + 1] ?? '')) {
      throw new Error('a session would reach an app')
    }
  }
  if (headers['x-remote-user'] !== 'user:alice') throw new Error('another user is believed')
  for (const name of Object.keys(headers)) {
    if (OURS.test(name) && !LINES.includes(name)) throw new Error(`"${name}" is believed`)
  }
}

export const INGRESS_TARGETS: readonly FuzzTarget[] = [
  textTarget(
    'a ticket',
    [direct, redirect, direct.slice(0, TICKET_LIMITS.characters / 8)],
    (ticket) => {
      const check = freshCheck()
      if (check.direct(ticket) !== null && ticket !== direct) throw new Error('a forged ticket counts')
      const redeemed = check.redeem(ticket)
      if (!('why' in redeemed) && ticket !== redirect) throw new Error('a forged ticket lets a user in')
    },
    line
  ),
  textTarget(
    'the marks of an address',
    [`/a?b&nd_ticket=${redirect}`, '/?nd_back=12', '/nd_back=1?x'],
    checkMark,
    line
  ),
  {
    name: 'the lines of a request at an ingress',
    samples: [
      Buffer.from('Host: h\nX-Workspace-Id: x\nCookie: a=b; nd_ingress=x\nConnection: x-a, close\nX_Remote_User: y')
    ],
    take(input) {
      checkDress(input, false)
      checkDress(input, true)
    }
  }
]
