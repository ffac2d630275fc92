// What a reader of one kind of capture file is: it takes records where they lie, and hands on the packets in them.

export interface CapturedPacket {
  /** Milliseconds since 1970; NaN where the file does not say. */
  readonly time: number
  /** LINKTYPE_ number of the registry that pcap and pcapng share. */
  readonly link: number
  /** Lies in the reader's buffer, and is good until the call returns. */
  readonly bytes: Buffer
}

export type PacketSink = (packet: CapturedPacket) => void

/** The records of one kind of file. */
export interface Format {
  /** Set once nothing that follows can be told apart any more; lowercase, without text from the file. */
  damage: string | undefined
  /**
   * Takes the record at `at`, of which bytes up to `end` are there. Returns the offset behind it, which lies beyond
   * `end` where it is skipped, or a negative number: how many bytes of it are needed.
   */
  read(bytes: Buffer, at: number, end: number): number
}

/** Largest record that is held: more than any interface hands to a capture; beyond it a length is not believed. */
export const maxRecord = 1024 * 1024
