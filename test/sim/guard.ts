/** Of the real world: whatever depends on it is another thing each time. */
const GLOBALS = ['setTimeout', 'setInterval'] as const

/** Runs work that must not know the real time, wait for it, or leave anything to chance. `onReached` is told where it does. */
export async function guarded<T>(work: () => Promise<T>, onReached: (what: string) => void): Promise<T> {
  const told = new Set<string>()
  const reached = (what: string): void => {
    if (told.has(what)) return
    told.add(what)
    onReached(`${what} was reached: ${new Error().stack?.split('\n').slice(3, 6).join(' ') ?? ''}`)
  }
  const onUnhandled = (error: unknown): void =>
    onReached(`nobody handles ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  const giveBack = [...GLOBALS.map((name) => watchGlobal(name, reached)), ...watchClocks(reached)]
  process.on('unhandledRejection', onUnhandled)
  try {
    return await work()
  } finally {
    for (const restore of giveBack) restore()
    process.off('unhandledRejection', onUnhandled)
  }
}

type Reached = (what: string) => void

function watchGlobal(name: (typeof GLOBALS)[number], reached: Reached): () => void {
  const real: unknown = globalThis[name]
  const watched = new Proxy(globalThis[name], {
    apply(target, self, args: unknown[]) {
      reached(name)
      return Reflect.apply(target, self, args)
    }
  })
  Object.assign(globalThis, { [name]: watched })
  return () => Object.assign(globalThis, { [name]: real })
}

function watchClocks(reached: Reached): (() => void)[] {
  const [RealDate, now, random, moment] = [Date, Date.now, Math.random, performance.now]
  const watched = new Proxy(RealDate, {
    construct(target, args: unknown[]) {
      if (args.length === 0) reached('new Date')
      return Reflect.construct(target, args)
    }
  })
  globalThis.Date = watched
  RealDate.now = () => {
    reached('Date.now')
    return now()
  }
  Math.random = () => {
    reached('Math.random')
    return random()
  }
  performance.now = () => {
    reached('performance.now')
    return moment.call(performance)
  }
  return [
    () => {
      globalThis.Date = RealDate
      RealDate.now = now
      Math.random = random
      performance.now = moment
    }
  ]
}
