import { HoldfastError } from '../../common/errors.js';
import type { ByteStream } from '../../common/ports/byte-stream.js';
import type { UploadStart } from '../../common/sandbox-methods.js';
import { ofCall } from './bytes-of-call.js';
import { PieceWindow, pieceBytes } from './piece-window.js';
import type { SessionCalls } from './session-calls.js';

export interface UploadOptions {
  readonly append?: boolean;
  readonly makeParents?: boolean;
}

/** How the bytes get there. */
interface Way {
  /** Resolves when more is welcome; until then the bytes must stay as they are. */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when all of it is in the file. */
  end(): Promise<void>;
  abort(): void;
}

/** A file that is being written; memory stays flat. What was written stays where it is given up. */
export class Upload {
  /** Absolute. */
  readonly path: string;
  /** Its life on the other side: reading it no more gives the upload up. */
  readonly #life: AsyncIterator<unknown>;
  readonly #way: Way;

  /** @throws FileNotFound, PermissionDenied, InvalidArgument */
  static async open(calls: SessionCalls, path: string, options: UploadOptions): Promise<Upload> {
    const life = calls.stream<UploadStart>('upload', [path, options])[Symbol.asyncIterator]();
    const first = await life.next();
    if (first.done) throw new HoldfastError('Internal', `${calls.label} did not open ${path}`);
    const { ticket } = first.value;
    const stream = ticket === null ? undefined : calls.bytes?.(ticket);
    const way = stream === undefined ? byCalls(calls, first.value.id) : byStream(ofCall(stream, life));
    return new Upload(first.value.path, life, way);
  }

  private constructor(path: string, life: AsyncIterator<unknown>, way: Way) {
    this.path = path;
    this.#life = life;
    this.#way = way;
  }

  /** Resolves when more is welcome; until then the bytes must stay as they are. */
  write(bytes: Uint8Array): Promise<void> {
    return this.#way.write(bytes);
  }

  /** Resolves when all of it is in the file. */
  async end(): Promise<void> {
    try {
      await this.#way.end();
    } finally {
      await this.abort();
    }
  }

  async abort(): Promise<void> {
    this.#way.abort();
    await this.#life.return?.();
  }
}

function byStream(stream: ByteStream): Way {
  return {
    write: (bytes) => stream.write(bytes),
    end: async () => {
      stream.end();
      // Nothing comes back but the end, once the file is written.
      for await (const _none of stream.read());
    },
    abort: () => stream.cancel(),
  };
}

/** From where no streams are: inside a container, or to a session of this process. */
function byCalls(calls: SessionCalls, id: number): Way {
  const window = new PieceWindow((bytes) => calls.call('uploadPiece', [id, bytes]));
  return {
    write: async (bytes) => {
      for (let at = 0; at < bytes.length; at += pieceBytes) await window.write(bytes.subarray(at, at + pieceBytes));
    },
    end: async () => {
      await window.flushed();
      await calls.call('uploadEnd', [id]);
    },
    abort: () => undefined,
  };
}
