import type { InstanceEvent } from '../daemon/options.ts'
import { drainLine, drainShare } from './drain-view.ts'
import { clean } from './format.ts'
import type { Printer } from './printer.ts'
import { box } from './table.ts'

/** Tells what happens to an instance: sentences for a person, one object a line for a script. */
export class InstanceStory {
  readonly #print: Printer
  #unreachable = ''
  /** Since this process began. */
  hasServed = false
  /** Why the coordinator turned this instance away, where it did. */
  refusal: 'DENIED' | 'REVOKED' | null = null

  constructor(print: Printer) {
    this.#print = print
  }

  tell(event: InstanceEvent): void {
    const print = this.#print
    print.machine(event)
    switch (event.event) {
      case 'connecting':
        return print.say(`Connecting to ${clean(event.coordinator)} …`)
      case 'described':
        print.say(`Federation  ${print.styled('bold', clean(event.federation))}`)
        print.say(`Services    ${clean(event.services.join(', ')) || 'none'}`)
        return print.say(`Terms       ${clean(event.terms) || 'none'}`)
      case 'pending':
        print.say(`\n${box([clean(event.code)]).trimEnd()}`)
        print.say(`Tell the admin this code: ${clean(event.name)} is let in once it is the same on both screens.\n`)
        return
      case 'approved':
        return print.say(print.styled('green', `Approved as ${clean(event.name)}.`))
      case 'serving':
        this.#unreachable = ''
        this.hasServed = true
        return print.say(`${print.styled('green', 'Serving')} as ${clean(event.name)}. Ctrl-C hands over and ends.`)
      case 'draining':
        return print.progress(drainShare(event), drainLine(event), event.state)
      case 'drained':
        return print.say(`The proof that everything stands elsewhere: ${clean(event.certificate)}`)
      case 'denied':
        this.refusal = 'DENIED'
        return
      case 'revoked':
        this.refusal = 'REVOKED'
        return
      case 'unreachable':
        if (this.#unreachable === event.reason) return
        this.#unreachable = event.reason
        return print.say(
          print.styled('yellow', `The coordinator is out of reach: ${clean(event.reason)}. Trying again …`)
        )
      case 'warning':
        return print.say(print.styled('yellow', `Warning: ${clean(event.text)}`))
    }
  }
}
