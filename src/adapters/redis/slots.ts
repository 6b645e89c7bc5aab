const slotCount = 16_384;
const polynomial = 0x1021;

let tags: readonly string[] | null = null;

/** A hash tag whose slot of a Cluster is that of `key`: keys with it are on the same node. */
export function tagOfSlot(key: string): string {
  tags ??= findTags();
  return tags[slotOf(key)] as string;
}

/** As Redis Cluster computes it: CRC-16 (XMODEM) of what is in the first braces, or of all. */
export function slotOf(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed, 'utf8')) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ polynomial;
    crc &= 0xffff;
  }
  return crc % slotCount;
}

/** The first number of each slot; some 50 ms, once, and only in a Cluster. */
function findTags(): string[] {
  const found: string[] = [];
  let left = slotCount;
  for (let number = 0; left > 0; number++) {
    const tag = String(number);
    const slot = slotOf(tag);
    if (found[slot] !== undefined) continue;
    found[slot] = tag;
    left -= 1;
  }
  return found;
}
