import { HoldfastError } from '../../common/errors.js';
import { type AddressBytes, type Cidr, isInCidr, parseAddress, parseCidr } from './address.js';

/** Where programs inside may connect to: see `NetworkPolicy` of the SDK. */
export type Outbound = 'none' | 'all' | readonly string[];

/** The policy of one sandbox, before what nobody may reach. */
export interface OutboundPolicy {
  /** Every address behind this name may be reached. */
  allowsName(name: string): boolean;
  allowsAddress(address: AddressBytes): boolean;
  /** False: no name but those allowed can lead anywhere, so none is looked up; a lookup carries a name out. */
  readonly looksUpOthers: boolean;
}

const domainPattern = /^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** Domains, `*.` before one for those below it (not itself), addresses and CIDR ranges. @throws InvalidArgument */
export function parseOutbound(outbound: Outbound): OutboundPolicy {
  if (outbound === 'all') return { allowsName: () => true, allowsAddress: () => true, looksUpOthers: true };
  const names = new Set<string>();
  const above: string[] = [];
  const ranges: Cidr[] = [];
  for (const entry of outbound === 'none' ? [] : outbound) {
    const range = parseCidr(entry);
    const domain = normalName(entry);
    if (range !== null) ranges.push(range);
    else if (entry.includes('/') || !domainPattern.test(domain)) throw wrongEntry(entry);
    else if (domain.startsWith('*.')) above.push(domain.slice(1));
    else names.add(domain);
  }
  return {
    allowsName: (name) => {
      const normal = normalName(name);
      return names.has(normal) || above.some((suffix) => normal.endsWith(suffix));
    },
    allowsAddress: (address) => ranges.some((range) => isInCidr(address, range)),
    looksUpOthers: ranges.length > 0,
  };
}

/** Names differ neither by case nor by the dot of the root. */
export function normalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

/** A name that could be looked up; not an address. */
export function isName(text: string): boolean {
  const normal = normalName(text);
  return normal.length <= 253 && !normal.startsWith('*') && domainPattern.test(normal) && parseAddress(normal) === null;
}

function wrongEntry(entry: string): HoldfastError {
  const message = `outbound cannot have ${JSON.stringify(entry)}; a domain, *.domain, an address or a CIDR range is expected`;
  return new HoldfastError('InvalidArgument', message);
}
