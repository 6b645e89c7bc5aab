import type { Socket } from 'node:net';
import { HoldfastError } from '../../common/errors.js';

const lengthBytes = 4;
const maxMessageBytes = 65_536;

/** u32 length | JSON. */
export function sendMessage(socket: Socket, message: object): void {
  const body = Buffer.from(JSON.stringify(message), 'utf8');
  const length = Buffer.allocUnsafe(lengthBytes);
  length.writeUInt32LE(body.length);
  socket.write(Buffer.concat([length, body]));
}

/** Visits each message as it comes. A malformed one destroys the socket: the other side is not what it should be. */
export function onMessages<M extends object>(socket: Socket, visit: (message: M) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length >= lengthBytes) {
      const length = rest.readUInt32LE();
      if (length > maxMessageBytes) {
        socket.destroy(
          new HoldfastError('Internal', `a message of ${length} bytes, at most ${maxMessageBytes} expected`),
        );
        return;
      }
      if (rest.length < lengthBytes + length) return;
      const body = rest.toString('utf8', lengthBytes, lengthBytes + length);
      rest = rest.subarray(lengthBytes + length);
      visit(JSON.parse(body) as M);
    }
  });
}
