import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** A longer line is given in pieces of this many characters. */
export const longestLine = 8_192;

/** Splits what a process prints into lines. It is always read, so a process never waits for its reader. */
export function readLines(stream: Readable, visit: (line: string) => void): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  const take = (text: string): void => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) visitPieces(line.endsWith('\r') ? line.slice(0, -1) : line, visit);
    while (rest.length > longestLine) {
      visit(rest.slice(0, longestLine));
      rest = rest.slice(longestLine);
    }
  };
  stream.on('data', (bytes: Buffer) => take(decoder.write(bytes)));
  stream.once('end', () => {
    take(decoder.end());
    if (rest !== '') visit(rest);
  });
  stream.on('error', () => {
    // The pipe broke with its process; its exit is reported elsewhere.
  });
}

function visitPieces(line: string, visit: (line: string) => void): void {
  if (line.length <= longestLine) {
    visit(line);
    return;
  }
  for (let at = 0; at < line.length; at += longestLine) visit(line.slice(at, at + longestLine));
}
