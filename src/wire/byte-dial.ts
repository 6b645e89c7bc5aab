import { randomBytes } from 'node:crypto';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ByteStream } from '../common/ports/byte-stream.js';
import { ByteConnection, bytesHello, ticketChars } from './byte-connection.js';
import type { TlsTexts } from './grpc/grpc-transport.js';
import { laneHello, laneIdChars } from './grpc/lane.js';

/** Who was reached by calls a moment ago is there. */
const connectWithinMs = 10_000;

/** Bytes of a worker that a call has answered a ticket for. @param address `host:port`, checked */
export function dialBytes(address: string, ticket: string, tls: TlsTexts | undefined): ByteStream {
  const socket = dial(address, tls);
  socket.write(Buffer.concat([bytesHello, Buffer.from(ticket.padEnd(ticketChars).slice(0, ticketChars))]));
  return new ByteConnection(socket, 'client', address);
}

/** For the messages of a stream that is open there. @param address `host:port`, checked */
export function dialLane(
  address: string,
  { tls, keepsProcessAlive }: { readonly tls: TlsTexts | undefined; readonly keepsProcessAlive: boolean },
): { readonly id: string; readonly socket: Socket } {
  const id = randomBytes(laneIdChars / 2).toString('hex');
  const socket = dial(address, tls);
  if (!keepsProcessAlive) socket.unref();
  socket.write(Buffer.concat([laneHello, Buffer.from(id)]));
  return { id, socket };
}

function dial(address: string, tls: TlsTexts | undefined): Socket {
  const socket = connectTo(address, tls);
  const late = (): void => void socket.destroy(new Error('it did not come up in time'));
  socket.setTimeout(connectWithinMs, late);
  // Of those who hear of its silence this one alone is not to hear of it any more.
  socket.once(tls === undefined ? 'connect' : 'secureConnect', () => socket.setTimeout(0, late));
  return socket;
}

function connectTo(address: string, tls: TlsTexts | undefined): Socket {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(address.slice(colon + 1));
  if (tls === undefined) return connect({ host, port });
  const { ca, cert, key } = tls;
  return connectTls({
    host,
    port,
    ALPNProtocols: ['h2'],
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  });
}
