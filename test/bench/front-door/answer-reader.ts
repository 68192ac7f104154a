const HEAD_END = Buffer.from('\r\n\r\n')
const NOTHING = Buffer.alloc(0)

/** Finds the ends of answers on one connection: those with a stated length, and those that have no body. */
export class AnswerReader {
  readonly #onAnswer: (status: number) => void
  #head: Buffer = NOTHING
  #bodyLeft = 0
  #status = 0

  constructor(onAnswer: (status: number) => void) {
    this.#onAnswer = onAnswer
  }

  /** @throws Error where an answer's end is not stated by its length */
  take(bytes: Buffer): void {
    let rest: Buffer = bytes
    while (rest.length > 0) {
      if (this.#bodyLeft > 0) {
        const part = Math.min(this.#bodyLeft, rest.length)
        this.#bodyLeft -= part
        rest = rest.subarray(part)
        if (this.#bodyLeft === 0) this.#onAnswer(this.#status)
        continue
      }
      this.#head = this.#head.length === 0 ? rest : Buffer.concat([this.#head, rest])
      const end = this.#head.indexOf(HEAD_END)
      if (end === -1) return
      const text = this.#head.toString('latin1', 0, end)
      rest = this.#head.subarray(end + HEAD_END.length)
      this.#head = NOTHING
      this.#begin(text)
    }
  }

  #begin(head: string): void {
    this.#status = Number(head.slice(9, 12))
    if (this.#status === 100) return
    this.#bodyLeft = lengthOf(head, this.#status)
    if (this.#bodyLeft === 0) this.#onAnswer(this.#status)
  }
}

function lengthOf(head: string, status: number): number {
  if (status === 204 || status === 304) return 0
  const [, digits] = /^content-length: *(\d+)$/im.exec(head) ?? []
  if (digits === undefined) throw new Error(`an answer without a length: ${head.slice(0, 200)}`)
  return Number(digits)
}
