import type { Block } from '../core/blocks.ts'
import type { FactsList } from './facts.ts'
import type { Fingerprint } from './fingerprint.ts'

/** What a folder has in it. */
export interface Listing {
  readonly names: readonly string[]
  /** Of the names, in their order. */
  readonly facts: FactsList
  /** Names that are not UTF-8, as far as they can be shown. */
  readonly unnamed: readonly string[]
}

/** The folder of a workspace and some paths in it, looked at at one moment. */
export interface Beginning {
  /** The folder without links in its path; null where it is missing. */
  readonly folder: string | null
  /** The time of the file system, by its own stamps, before anything was looked at; null where the stamp file is missing. */
  readonly begunNs: bigint | null
  /** Of the paths that were asked for, in their order. */
  readonly facts: FactsList
}

/** A file as it was read. */
export interface FileRead {
  /** Before its bytes were read. */
  readonly fingerprint: Fingerprint
  /** Bytes that were read. */
  readonly size: number
  /** The path led to this file, unchanged, before and after. */
  readonly steady: boolean
}

export interface ReadRequest {
  /** The workspace's folder, without links in its path: a file that lies elsewhere is not read. */
  readonly folder: string
  readonly path: string
  /** About how large the file is. */
  readonly sizeHint: number
}

export interface ReaderOptions {
  /** Somebody waits for it: it is not queued behind the reading of whole workspaces. */
  readonly prompt: boolean
  /** It is little, and was written a moment ago: the kernel has it in memory. */
  readonly atOnce?: boolean
  readonly signal?: AbortSignal | undefined
}

/** Takes the leaves of a file in their order. It is awaited: who takes slowly is read for slowly. */
export type TakeLeaves = (leaves: readonly Block[]) => Promise<void>

/**
 * Looks at a disk, and reads, cuts and hashes what is on it. Nothing is written but the time of the stamp file. Errors of
 * the file system come with its code in `code`. All calls may run at once; each rejects with `ABORTED` by its signal.
 */
export interface FileReader {
  /**
   * @param request.stamp a file of our own on the same file system, whose time is set
   * @param request.paths below the folder; what cannot be looked at is `denied` or `gone`
   */
  begin(
    request: { readonly folder: string; readonly stamp: string; readonly paths: readonly string[] },
    options: ReaderOptions
  ): Promise<Beginning>

  /** Null where there is no such folder. */
  list(folder: string, options: ReaderOptions): Promise<Listing | null>

  /**
   * Reads a file once, up to the size that it has when it is opened. Null where no regular file is, or where it lies
   * outside the folder. The leaves' bytes belong to whom they are given to. At most 2 MiB of a file are on their way.
   */
  read(request: ReadRequest, take: TakeLeaves, options: ReaderOptions): Promise<FileRead | null>

  /** Ends what is under way with `CLOSED`. */
  close(): Promise<void>
}
