import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** u32 length of the body | u32 ref | body */
const headerBytes = 8;
const slabBytes = 65_536;
/** Larger bodies are handed to the socket as they are. */
const copiedBytes = 16_384;

/**
 * Length-prefixed frames on a socket, many frames a write: the cheapest transport that Node offers, and therefore the floor.
 * The caller decides when a batch leaves; loads are closed loops, so what waits is bounded by the number of callers.
 */
export class FrameSocket {
  readonly #socket: Socket;
  #slab = Buffer.allocUnsafe(slabBytes);
  #start = 0;
  #end = 0;
  #isScheduled = false;
  readonly #scheduled = (): void => {
    this.#isScheduled = false;
    this.flushNow();
  };

  constructor(socket: Socket, onFrame: (ref: number, body: Buffer) => void) {
    this.#socket = socket.setNoDelay(true);
    socket.on('data', frameReader(onFrame));
    socket.on('error', () => undefined); // the other process ended; whoever waits for it learns so from its exit
  }

  write(ref: number, body: Uint8Array): void {
    const isCopied = body.length <= copiedBytes;
    const needed = headerBytes + (isCopied ? body.length : 0);
    if (this.#end + needed > this.#slab.length) this.#renewSlab();
    this.#slab.writeUInt32LE(body.length, this.#end);
    this.#slab.writeUInt32LE(ref, this.#end + 4);
    if (isCopied) this.#slab.set(body, this.#end + headerBytes);
    this.#end += needed;
    if (isCopied) return;
    this.#socket.cork();
    this.flushNow();
    this.#socket.write(body);
    this.#socket.uncork();
  }

  flushNow(): void {
    if (this.#start === this.#end) return;
    this.#socket.write(this.#slab.subarray(this.#start, this.#end));
    // What was written belongs to the socket now: the slab goes on behind it.
    this.#start = this.#end;
  }

  flushSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#scheduled);
  }

  close(): void {
    this.#socket.destroy();
  }

  #renewSlab(): void {
    this.flushNow();
    this.#slab = Buffer.allocUnsafe(slabBytes);
    this.#start = 0;
    this.#end = 0;
  }
}

/** Bodies alias the chunks that arrived. */
function frameReader(onFrame: (ref: number, body: Buffer) => void): (chunk: Buffer) => void {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let neededBytes = headerBytes;
  return (chunk) => {
    waiting.push(chunk);
    waitingBytes += chunk.length;
    if (waitingBytes < neededBytes) return;
    const all = waiting.length === 1 ? chunk : Buffer.concat(waiting, waitingBytes);
    let at = 0;
    neededBytes = headerBytes;
    while (all.length - at >= headerBytes) {
      const end = at + headerBytes + all.readUInt32LE(at);
      if (end > all.length) {
        neededBytes = end - at;
        break;
      }
      onFrame(all.readUInt32LE(at + 4), all.subarray(at + headerBytes, end));
      at = end;
    }
    waitingBytes = all.length - at;
    waiting = waitingBytes === 0 ? [] : [all.subarray(at)];
  };
}

/** Resolves with the port. */
export async function listenForFrames(accept: (socket: Socket) => void): Promise<number> {
  const server = createServer(accept).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

export async function connectFrames(port: number, onFrame: (ref: number, body: Buffer) => void): Promise<FrameSocket> {
  const socket = connect({ host: '127.0.0.1', port });
  await once(socket, 'connect');
  return new FrameSocket(socket, onFrame);
}
