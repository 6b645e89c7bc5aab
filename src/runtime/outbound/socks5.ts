import type { Duplex } from 'node:stream';
import { type AddressBytes, formatAddress } from './address.js';
import type { DialFailure } from './outbound-dialer.js';

/** RFC 1928, of which: no authentication, and CONNECT to an address or a name. */
const version = 5;
const noAuthentication = 0;
const noneAcceptable = 0xff;
const connectCommand = 1;
const addressTypes = { ipv4: 1, name: 3, ipv6: 4 };
const replies = { done: 0, notAllowed: 2, unreachable: 4, badCommand: 7, badAddress: 8 };

export const socksVersionByte = version;

export interface SocksTarget {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads a greeting and a request; answers what is wrong with them itself.
 *
 * @returns null where the client asked for nothing that is done here, or hung up
 */
export async function readSocksRequest(client: Duplex): Promise<SocksTarget | null> {
  const greeting = await readExactly(client, 2);
  const methods = greeting === null ? null : await readExactly(client, greeting[1] as number);
  if (greeting?.[0] !== version || methods === null) return null;
  if (!methods.includes(noAuthentication)) {
    client.end(Buffer.from([version, noneAcceptable]));
    return null;
  }
  client.write(Buffer.from([version, noAuthentication]));
  const head = await readExactly(client, 4);
  if (head?.[0] !== version) return null;
  if (head[1] !== connectCommand) {
    refuseSocks(client, replies.badCommand);
    return null;
  }
  return await readTarget(client, head[3] as number);
}

export function acceptSocks(client: Duplex): void {
  reply(client, replies.done);
}

export function failSocks(client: Duplex, { why }: DialFailure): void {
  refuseSocks(client, why === 'refused' ? replies.notAllowed : replies.unreachable);
}

async function readTarget(client: Duplex, type: number): Promise<SocksTarget | null> {
  const host = await readHost(client, type);
  if (host === null) return null;
  const port = await readExactly(client, 2);
  return port === null ? null : { host, port: port.readUInt16BE() };
}

async function readHost(client: Duplex, type: number): Promise<string | null> {
  if (type === addressTypes.name) {
    const length = await readExactly(client, 1);
    const name = length === null ? null : await readExactly(client, length[0] as number);
    return name === null ? null : name.toString('latin1');
  }
  if (type !== addressTypes.ipv4 && type !== addressTypes.ipv6) {
    refuseSocks(client, replies.badAddress);
    return null;
  }
  const bytes = await readExactly(client, type === addressTypes.ipv4 ? 4 : 16);
  return bytes === null ? null : formatAddress([...bytes] as AddressBytes);
}

function refuseSocks(client: Duplex, code: number): void {
  reply(client, code);
  client.end();
}

/** Where the worker's end of the connection is does not concern who asked. */
function reply(client: Duplex, code: number): void {
  client.write(Buffer.from([version, code, 0, addressTypes.ipv4, 0, 0, 0, 0, 0, 0]));
}

/** Null where the stream ends before; what follows stays in it. @param count up to 255 */
export function readExactly(stream: Duplex, count: number): Promise<Buffer | null> {
  if (count === 0) return Promise.resolve(Buffer.alloc(0));
  return new Promise((resolve) => {
    const settle = (bytes: Buffer | null): void => {
      stream.off('readable', onReadable);
      stream.off('end', onEnd);
      stream.off('close', onEnd);
      resolve(bytes);
    };
    const onEnd = (): void => settle(null);
    const onReadable = (): void => {
      const bytes = stream.read(count) as Buffer | null;
      // At the end less than that may be given.
      if (bytes !== null) settle(bytes.length === count ? bytes : null);
    };
    stream.on('readable', onReadable);
    stream.on('end', onEnd);
    stream.on('close', onEnd);
    if (stream.destroyed || stream.readableEnded) onEnd();
    else onReadable();
  });
}
