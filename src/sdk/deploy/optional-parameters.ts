import { SourceMap, type SourceMapPayload } from 'node:module';
import type { OptionalHint } from '../classes/parameters.js';

const inlineMap = /\n\/\/# sourceMappingURL=data:application\/json;base64,([A-Za-z0-9+/=]+)\s*$/;

/**
 * Which parameters were written with TypeScript's `?`: the bundle has lost it, its source map leads back to the text that
 * has it.
 */
export function optionalHint(bundle: string): OptionalHint {
  const encoded = inlineMap.exec(bundle)?.[1];
  if (encoded === undefined) return () => false;
  const payload = JSON.parse(Buffer.from(encoded, 'base64').toString('utf8')) as SourceMapPayload;
  const map = new SourceMap(payload);
  const lineStarts = starts(bundle);
  const sources = new Map(payload.sources.map((name, index) => [name, linesOf(payload.sourcesContent[index])]));
  return (source, end) => {
    const at = bundle.indexOf(source);
    if (at < 0) return false;
    const name = /[\p{ID_Continue}$]+$/u.exec(source.slice(0, end))?.[0] ?? '';
    const line = lastAtMost(lineStarts, at + end - name.length);
    const entry = map.findEntry(line, at + end - name.length - (lineStarts[line] ?? 0));
    if (!('originalSource' in entry)) return false;
    const text = sources.get(entry.originalSource)?.[entry.originalLine]?.slice(entry.originalColumn) ?? '';
    return text.startsWith(name) && /^\s*\?/.test(text.slice(name.length));
  };
}

function linesOf(text: string | null | undefined): readonly string[] {
  return text?.split('\n') ?? [];
}

function starts(text: string): number[] {
  const found = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) found.push(at + 1);
  return found;
}

/** Index of the last number that is at most `bound`. */
function lastAtMost(sorted: readonly number[], bound: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((sorted[middle] ?? 0) <= bound) low = middle;
    else high = middle - 1;
  }
  return low;
}
