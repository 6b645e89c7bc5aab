import { isIP, type Socket } from 'node:net';
import { parseAddress } from './address.js';
import { readExactly } from './socks5.js';

/** Why a proxy did not connect, as Node says it of a connection of its own. */
export interface SocksRefusal {
  readonly code: 'EACCES' | 'EHOSTUNREACH' | 'ECONNRESET';
  readonly why: string;
}

const longestName = 255;
const replyBytes = 12;
const replyCodeAt = 3;
const notAllowed = 2;

/** Greeting and request in one: the proxy that is spoken to asks for no authentication. */
export function socksRequest(host: string, port: number): Buffer {
  const address = isIP(host) === 0 ? null : parseAddress(host);
  const name = Buffer.from(host, 'latin1').subarray(0, longestName);
  const target = address === null ? [3, name.length, ...name] : [address.length === 4 ? 1 : 4, ...address];
  return Buffer.from([5, 1, 0, 5, 1, 0, ...target, port >> 8, port & 0xff]);
}

/** Null: connected, what follows is from the other host. */
export async function acceptedBySocks(socket: Socket): Promise<SocksRefusal | null> {
  const reply = await readExactly(socket, replyBytes);
  if (reply === null) return { code: 'ECONNRESET', why: 'the proxy hung up' };
  const code = reply[replyCodeAt];
  if (code === 0) return null;
  if (code === notAllowed) return { code: 'EACCES', why: 'it may not be reached from here' };
  return { code: 'EHOSTUNREACH', why: 'it cannot be reached' };
}
