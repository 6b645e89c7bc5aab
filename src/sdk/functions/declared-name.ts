import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Where `app.function` was called; read only where its name is not known otherwise. */
export type DeclarationSite = { readonly stack?: string };

/** @param caller what was called there: its frame and those above it are not the user's */
export function declarationSite(caller: (...args: never) => unknown): DeclarationSite {
  const site: { stack?: string } = {};
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 1;
  Error.captureStackTrace(site, caller);
  Error.stackTraceLimit = stackTraceLimit;
  return site;
}

const frame = /(?:^|\s|\()((?:file:\/\/)?\/[^\n]*?):(\d+):\d+\)?\s*$/;
/** The call may be on a line below the one that begins the declaration. */
const linesBefore = 2;
const declaration =
  /\b(?:const|let|var)\s+([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*(?::[^;]*?)?=[\s.$\p{ID_Continue}]*$/u;

/**
 * The variable that a function was declared as: a program that imports `export const f = app.function(…)` calls it by a value that
 * does not know its export. Its own source says it, at the place of the call. Null: it does not.
 */
export function nameAt({ stack }: DeclarationSite): string | null {
  const found = frame.exec(stack?.split('\n').at(-1) ?? '');
  if (found === null) return null;
  const [, file = '', line = '1'] = found;
  try {
    const lines = readFileSync(file.startsWith('file:') ? fileURLToPath(file) : file, 'utf8').split('\n');
    const last = lines[Number(line) - 1] ?? '';
    const head = last.slice(0, Math.max(0, last.search(/\.\s*function\b/)));
    const before = lines.slice(Math.max(0, Number(line) - 1 - linesBefore), Number(line) - 1);
    return declaration.exec([...before, head].join('\n'))?.[1] ?? null;
  } catch {
    return null; // It is not there, or no text: its caller says what to do.
  }
}
