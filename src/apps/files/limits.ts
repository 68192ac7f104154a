/** What one user, or all of them together, may ask of the files app. */
export interface FilesLimits {
  /** Entries of one folder that a listing has; PROPFIND of a larger one is refused. */
  readonly listedEntriesMax: number
  /** Entries of one folder that the page shows. */
  readonly shownEntriesMax: number
  /** Files and folders that one COPY may make. */
  readonly copiedEntriesMax: number
  /** Body of a PROPFIND, PROPPATCH or LOCK. */
  readonly xmlBytesMax: number
  /** Longest life of a lock; it can be renewed. */
  readonly lockMsMax: number
  /** Locks and properties that are remembered for one workspace. */
  readonly rememberedBytesPerWorkspaceMax: number
  /** Locks and properties that are remembered for all workspaces. */
  readonly rememberedBytesMax: number
  /** Time for one PROPFIND, PROPPATCH or LOCK once its body has arrived. */
  readonly davMsMax: number
}

export const FILES_LIMITS: FilesLimits = {
  listedEntriesMax: 50_000,
  shownEntriesMax: 5_000,
  copiedEntriesMax: 100_000,
  xmlBytesMax: 64 * 1024,
  lockMsMax: 60 * 60 * 1000,
  rememberedBytesPerWorkspaceMax: 256 * 1024,
  rememberedBytesMax: 32 * 1024 * 1024,
  davMsMax: 30_000
}
