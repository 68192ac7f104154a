/** Something that takes bytes from outside. */
export interface FuzzTarget {
  readonly name: string
  /** Valid inputs, to be changed. */
  readonly samples: readonly Uint8Array[]
  /**
   * Takes one input. What is malformed is refused with a `NodeDaemonError`, or read as nothing.
   *
   * @throws any other error: a mistake that was found
   */
  take(input: Uint8Array): void | Promise<void>
}

export const text = (input: Uint8Array): string => Buffer.from(input).toString('utf8')
/** As the parser of node gives header lines. */
export const line = (input: Uint8Array): string =>
  Buffer.from(input)
    .toString('latin1')
    .replaceAll(/[\r\n\0]/g, '')
export const samplesOf = (texts: readonly string[]): Uint8Array[] => texts.map((one) => Buffer.from(one))

/** A target whose inputs are texts. */
export const textTarget = (
  name: string,
  samples: readonly string[],
  take: (input: string) => unknown,
  as: (input: Uint8Array) => string = text
): FuzzTarget => ({
  name,
  samples: samplesOf(samples),
  async take(input) {
    await take(as(input))
  }
})
