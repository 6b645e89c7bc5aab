import { HoldfastError } from '../../common/errors.js';
import { PieceWindow, pieceBytes } from './piece-window.js';
import type { SessionCalls } from './session-calls.js';

export interface UploadOptions {
  readonly append?: boolean;
  readonly makeParents?: boolean;
}

/** A file that is being written, piece by piece; memory stays flat. What was written stays where it is given up. */
export class Upload {
  /** Absolute. */
  readonly path: string;
  readonly #calls: SessionCalls;
  readonly #id: number;
  /** Its life on the other side: reading it no more gives the upload up. */
  readonly #life: AsyncIterator<unknown>;
  readonly #window: PieceWindow;

  /** @throws FileNotFound, PermissionDenied, InvalidArgument */
  static async open(calls: SessionCalls, path: string, options: UploadOptions): Promise<Upload> {
    const life = calls.stream<{ id: number; path: string }>('upload', [path, options])[Symbol.asyncIterator]();
    const first = await life.next();
    if (first.done) throw new HoldfastError('Internal', `${calls.label} did not open ${path}`);
    return new Upload(calls, first.value, life);
  }

  private constructor(calls: SessionCalls, opened: { id: number; path: string }, life: AsyncIterator<unknown>) {
    this.path = opened.path;
    this.#calls = calls;
    this.#id = opened.id;
    this.#life = life;
    this.#window = new PieceWindow((bytes) => calls.call('uploadPiece', [opened.id, bytes]));
  }

  /** Resolves when more is welcome; the bytes are taken before it returns. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      await this.#window.write(bytes.subarray(at, at + pieceBytes));
    }
  }

  /** Resolves when all of it is in the file. */
  async end(): Promise<void> {
    try {
      await this.#window.flushed();
      await this.#calls.call('uploadEnd', [this.#id]);
    } finally {
      await this.abort();
    }
  }

  async abort(): Promise<void> {
    await this.#life.return?.();
  }
}
