import { HoldfastError } from '../../../common/errors.js';

/** `APP/SANDBOX`. @throws InvalidArgument */
export function parseSandboxReference(text: string): { readonly app: string; readonly sandbox: string } {
  const [app, sandbox, ...rest] = text.split('/');
  if (app && sandbox && rest.length === 0) return { app, sandbox };
  const next = rest.length > 0 ? 'write APP/SANDBOX ID, with a space' : 'write APP/SANDBOX, e.g. demo/shell';
  throw new HoldfastError('InvalidArgument', `${JSON.stringify(text)} names no sandbox: ${next}`);
}

/** `APP/SANDBOX/ID`. */
export interface SessionReference {
  readonly app: string;
  readonly sandbox: string;
  readonly id: string;
}

/** An id may contain slashes itself. @throws InvalidArgument */
export function parseSessionReference(text: string): SessionReference {
  const [app, sandbox, ...rest] = text.split('/');
  const id = rest.join('/');
  if (app && sandbox && id) return { app, sandbox, id };
  throw new HoldfastError('InvalidArgument', `${JSON.stringify(text)} names no session: write APP/SANDBOX/ID`);
}

/** A path of this machine, or of a session. */
export type Place =
  | { readonly side: 'here'; readonly path: string }
  | { readonly side: 'there'; readonly session: SessionReference; readonly path: string };

/** `APP/SANDBOX/ID:PATH`, or a path of this machine: what begins with `.` or `/`, or has no colon. @throws InvalidArgument */
export function parsePlace(text: string): Place {
  const at = text.indexOf(':');
  if (at < 0 || /^[./]/.test(text)) return { side: 'here', path: text };
  return { side: 'there', session: parseSessionReference(text.slice(0, at)), path: text.slice(at + 1) || '.' };
}
