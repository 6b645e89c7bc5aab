import { isIP } from 'node:net';

/** An IP address as its bytes: 4 or 16. */
export type AddressBytes = readonly number[];

/** A range of addresses. */
export interface Cidr {
  readonly bytes: AddressBytes;
  readonly prefixBits: number;
}

const mappedPrefix = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
/** RFC 6052: an IPv4 address behind a translator. */
const translatedPrefix = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
/** RFC 3056: an IPv4 address in the third to sixth byte. */
const sixToFourPrefix = [0x20, 0x02];

/** Null: not an address. IPv4 in any clothes of IPv6 is IPv4: no filter for the one is passed as the other. */
export function parseAddress(text: string): AddressBytes | null {
  const bare = text.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '');
  const version = isIP(bare);
  if (version === 4) return bare.split('.').map(Number);
  if (version !== 6) return null;
  const bytes = parseIpv6(bare);
  if (startsWith(bytes, mappedPrefix) || startsWith(bytes, translatedPrefix)) return bytes.slice(12);
  if (startsWith(bytes, sixToFourPrefix)) return bytes.slice(2, 6);
  const isCompatible = bytes.slice(0, 12).every((byte) => byte === 0) && bytes.slice(12, 15).some((byte) => byte > 0);
  return isCompatible ? bytes.slice(12) : bytes;
}

/** Null: not `address/bits`. An address alone is a range of one. */
export function parseCidr(text: string): Cidr | null {
  const [address = '', bits, ...rest] = text.split('/');
  const bytes = parseAddress(address);
  if (bytes === null || rest.length > 0) return null;
  const wide = bytes.length * 8;
  if (bits === undefined) return { bytes, prefixBits: wide };
  // Of an IPv4 address in IPv6 clothes the first 96 bits are taken off.
  const prefixBits = Number(bits) - (isIP(address) === 6 && bytes.length === 4 ? 96 : 0);
  return /^\d{1,3}$/.test(bits) && prefixBits >= 0 && prefixBits <= wide ? { bytes, prefixBits } : null;
}

export function isInCidr(address: AddressBytes, { bytes, prefixBits }: Cidr): boolean {
  if (address.length !== bytes.length) return false;
  return bytes.every((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixBits - index * 8));
    const mask = (0xff00 >> bits) & 0xff;
    return ((address[index] as number) & mask) === (byte & mask);
  });
}

export function formatAddress(bytes: AddressBytes): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) =>
    (((bytes[i * 2] as number) << 8) | (bytes[i * 2 + 1] as number)).toString(16),
  );
  return words.join(':');
}

/** Of a text that is an IPv6 address. */
function parseIpv6(text: string): number[] {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const plain =
    dotted === null ? text : `${dotted[1]}${hexWords((dotted[2] as string).split('.').map(Number)).join(':')}`;
  const [head = '', tail] = plain.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].flatMap((word) => {
    const value = Number.parseInt(word, 16);
    return [value >> 8, value & 0xff];
  });
}

function hexWords(bytes: readonly number[]): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return [((a << 8) | b).toString(16), ((c << 8) | d).toString(16)];
}

function startsWith(bytes: AddressBytes, prefix: AddressBytes): boolean {
  return prefix.every((byte, index) => bytes[index] === byte);
}
