/** What an entry of a tar says before its bytes. */
export interface TarEntry {
  readonly name: string;
  /** `hidden`: what overlays take for a name that is not there, whatever is below. */
  readonly type: 'file' | 'folder' | 'link' | 'hidden';
  /** Permission bits. */
  readonly mode: number;
  readonly size?: number;
  /** Of a link. */
  readonly target?: string;
  /** Extended attributes. */
  readonly attributes?: Readonly<Record<string, string>>;
}

export const tarBlock = 512;
/** 1980-01-02: zip archives know no earlier times. */
const mtimeSeconds = 315_619_200;
const largestOctal = 0o77_777_777_777;
const longestName = 100;
const flags = { file: '0', link: '2', hidden: '3', folder: '5', pax: 'x' };

/** The headers of an entry, as POSIX has them: the same entry has the same bytes. Its bytes and `tarPadding` follow. */
export function tarHeaders(entry: TarEntry): Uint8Array {
  const { name, target = '', size = 0, attributes = {} } = entry;
  const header = headerOf(entry, flags[entry.type]);
  const isPlain = isShort(name) && isShort(target) && size <= largestOctal;
  if (isPlain && Object.keys(attributes).length === 0) return header;
  const records = [
    ...[
      paxRecord('path', name),
      ...(target === '' ? [] : [paxRecord('linkpath', target)]),
      paxRecord('size', `${size}`),
    ],
    ...Object.entries(attributes).map(([key, value]) => paxRecord(`SCHILY.xattr.${key}`, value)),
  ];
  const bytes = Buffer.from(records.join(''));
  const pax = headerOf({ name: 'pax', type: 'file', mode: 0o644, size: bytes.length }, flags.pax);
  return Buffer.concat([pax, bytes, tarPadding(bytes.length), header]);
}

/** What comes after so many bytes. */
export function tarPadding(size: number): Uint8Array {
  return new Uint8Array((tarBlock - (size % tarBlock)) % tarBlock);
}

/** ASCII only: what a byte above means in an old header is anybody's guess. */
function isShort(text: string): boolean {
  return text.length <= longestName && /^[\x20-\x7e]*$/.test(text);
}

/** Its length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + String(bytes).length;
  length = bytes + String(length).length;
  return `${length}${rest}`;
}

function headerOf({ name, target = '', mode, size = 0 }: TarEntry, flag: string): Buffer {
  const header = Buffer.alloc(tarBlock);
  const octal = (value: number, at: number, length: number): void => {
    header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  };
  header.write(name, 0, longestName, 'utf8');
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(Math.min(size, largestOctal), 124, 12);
  octal(mtimeSeconds, 136, 12);
  header.write('        ', 148, 'latin1');
  header.write(flag, 156, 'latin1');
  header.write(target, 157, longestName, 'utf8');
  header.write('ustar\x0000', 257, 'latin1');
  octal(0, 329, 8);
  octal(0, 337, 8);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}
