import { HoldfastError } from '../../../common/errors.js';

const maxPathBytes = 4095;
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const escaped = /[\ud800-\udfff]/;
const firstEscape = 0xdc00;

/**
 * Bytes of a name or path as text: UTF-8 where it is that, else each byte that does not fit becomes the lone surrogate U+DC00 +
 * byte, which no valid UTF-8 gives, so that every name can be listed and named again.
 */
export function decodeName(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    // Not UTF-8.
    return decodeEscaped(bytes);
  }
}

/** What `decodeName` was given. @throws InvalidArgument where there is a NUL */
export function encodeText(text: string, what: string): Buffer {
  if (text.includes('\0')) {
    throw new HoldfastError('InvalidArgument', `${what} holds a NUL character, which nothing inside a sandbox can`);
  }
  if (!escaped.test(text)) return Buffer.from(text, 'utf8');
  return Buffer.concat(Array.from(text, encodeCharacter));
}

/** @throws InvalidArgument where it is not absolute, too long or holds a NUL */
export function encodePath(path: string): Buffer {
  const bytes = encodeText(path, `the path ${JSON.stringify(path)}`);
  if (!path.startsWith('/')) refuse(path, 'is not absolute');
  if (bytes.length > maxPathBytes) refuse(path, `is ${bytes.length} bytes long, at most ${maxPathBytes} can be`);
  return bytes;
}

function refuse(path: string, why: string): never {
  throw new HoldfastError('InvalidArgument', `the path ${path} ${why}`, { details: { path } });
}

function encodeCharacter(character: string): Buffer {
  const byte = character.charCodeAt(0) - firstEscape;
  const isEscape = character.length === 1 && byte >= 0x80 && byte <= 0xff;
  return isEscape ? Buffer.from([byte]) : Buffer.from(character, 'utf8');
}

function decodeEscaped(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at] as number);
    const character = decodeSequence(bytes.subarray(at, at + length));
    text += character ?? String.fromCharCode(firstEscape + (bytes[at] as number));
    at += character === null ? 1 : length;
  }
  return text;
}

/** By the first byte; 1 where it begins none. */
function sequenceLength(first: number): number {
  if (first >= 0xf0) return 4;
  if (first >= 0xe0) return 3;
  return first >= 0xc0 ? 2 : 1;
}

function decodeSequence(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    // Cut off or wrong: its first byte stands alone.
    return null;
  }
}
