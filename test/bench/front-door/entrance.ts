import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import type { Sign } from './client.ts'

const PAGE = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }

/** Where users work whom the front door has sent on, and the cookies by which they are known there. */
export interface Entrance {
  readonly url: string
  readonly users: readonly Sign[]
}

/** Goes to a page of each user as a browser does, as far as the entrance of the home. */
export async function enter(url: string, path: string, users: readonly Sign[]): Promise<Entrance> {
  const entered = await Promise.all(
    users.map(async ([name, value]) => {
      const sentOn = await ask(`${url}${path}`, { [name]: value })
      const { origin } = sentOn.location
      const letIn = await ask(sentOn.location.href, {})
      const [cookie = ''] = (letIn.cookie ?? '').split(';')
      return { origin, sign: ['cookie', cookie] as const }
    })
  )
  return { url: entered[0]?.origin ?? '', users: entered.map(({ sign }) => sign) }
}

async function ask(
  url: string,
  headers: Readonly<Record<string, string>>
): Promise<{ readonly location: URL; readonly cookie: string | undefined }> {
  const asked = request(url, { headers: { ...PAGE, ...headers }, agent: false })
  asked.end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  answer.resume()
  const { location, 'set-cookie': cookies } = answer.headers
  if (answer.statusCode !== 307 || location === undefined) throw new Error(`${url} is answered by ${answer.statusCode}`)
  return { location: new URL(location), cookie: cookies?.[0] }
}
