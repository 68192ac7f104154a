// Loaded before a program: its wall clock is off by CLOCK_SHIFT_MS. The monotonic clock is as it was.
const shift = Number(process.env.CLOCK_SHIFT_MS)
const Real = Date
globalThis.Date = class extends Real {
  constructor(...args) {
    super(...(args.length === 0 ? [Real.now() + shift] : args))
  }
  static now() {
    return Real.now() + shift
  }
}
