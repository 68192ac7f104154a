/** The bounds of the front door. */
export const FRONT_DOOR_LIMITS = {
  headersMs: 20_000,
  idleMs: 120_000,
  keepAliveMs: 65_000,
  headerBytes: 16 * 1024,
  urlLength: 8 * 1024,
  connections: 20_000,
  /** Of one client address. */
  connectionsPerAddress: 512,
  /** Client addresses whose rates are remembered. */
  addresses: 100_000,
  /** Requests of one connection that wait for those before them; the connection is cut beyond that. */
  pipelined: 16,
  bodyBytes: 100e9,
  /** How long a body may take that is kept whole before it is sent on. */
  keptBodyMs: 300_000,
  /** Of all users together, and of one user. */
  keptBodiesBytes: 256 * 1024 * 1024,
  keptBodiesBytesPerUser: 32 * 1024 * 1024,
  held: 10_000,
  heldPerWorkspace: 256,
  /** Of one client address. */
  heldPerClient: 2_500,
  /** Requests and WebSockets at the instances at once, of one user and of one workspace; and how many of each wait for their turn. */
  atOncePerUser: 128,
  atOncePerWorkspace: 320,
  /** Of a workspace that people share, for all guests together, and for those of one address. The rest is for users with a name. */
  atOnceForGuests: 280,
  atOnceForGuestsPerAddress: 40,
  waitingForTurn: 512,
  /** An answer, or the next part of one, does not take longer. */
  answerMs: 3_600_000,
  streamsPerHome: 1_000,
  queuePerHome: 4_096,
  connectMs: 5_000,
  streamIdleMs: 30_000,
  continueMs: 1_000,
  /** How long the rest of a body is read after its answer, so that the client gets to see that. */
  lingerMs: 5_000,
  /** How long `close` waits for what is under way. */
  closeMs: 5_000
} as const

export type FrontDoorLimits = { readonly [Name in keyof typeof FRONT_DOOR_LIMITS]: number }
