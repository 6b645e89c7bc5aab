import { CommanderError } from 'commander';
import { type ErrorCode, isHoldfastError } from '../../common/errors.js';
import { toJson } from './json-value.js';
import type { Terminal } from './terminal.js';
import { wrapped } from './wrapped.js';

/** What people can do next, where the message of the error cannot know that it is read in a terminal. */
const nextSteps: Readonly<Partial<Record<ErrorCode, string>>> = {
  Unauthenticated:
    'give one with --token or HOLDFAST_TOKEN; the first of a cluster comes from `holdfast token create --redis URL`',
  NoCapacity: '`holdfast workers` shows what there is',
  SandboxUnavailable: '`holdfast doctor`, on the host of the worker, says whether sandboxes can run there',
  StoreQuarantined: 'the store was restarted and waits until no old worker can be alive: try again in a few seconds',
  OutcomeUnknown: 'the call may have run or not: look before you call again',
};
const deepestCause = 3;

/** Writes an error as people read it, or as one JSON document, to stderr. */
export function reportError(error: unknown, terminal: Terminal, format: { readonly json: boolean }): void {
  if (error instanceof CommanderError) return; // Commander has written it.
  if (format.json) terminal.note(toJson({ error: errorDocument(error) }));
  else for (const line of errorLines(error, terminal)) terminal.note(line);
}

/** The lines of an error: `error Code: what`, the user's stack trace, the next step. */
export function errorLines(error: unknown, terminal: Terminal): string[] {
  const said = `${terminal.paintNote('red', `error ${codeOf(error)}:`)} ${messageOf(error)}`;
  const lines = said.split('\n').flatMap((line) => wrapped(line, terminal.noteColumns));
  if (!isHoldfastError(error)) return [...lines, ...stackLines(error, terminal)];
  const isUsers = error.code === 'UserError' || error.code === 'ActivationFailed';
  if (isUsers) lines.push(...causeLines(error.cause, terminal));
  // A file of a sandbox that is not allowed, or does not fit, is no matter of tokens or workers.
  const next = error.details['path'] === undefined ? nextSteps[error.code] : undefined;
  if (next) lines.push(...wrapped(`  ${terminal.paintNote('dim', 'next:')} ${next}`, terminal.noteColumns, '        '));
  return lines;
}

/** An error as data, with the chain of its causes. */
export function errorDocument(error: unknown, depth = 0): Record<string, unknown> {
  const cause = error instanceof Error && depth < deepestCause ? error.cause : undefined;
  const causes = cause === undefined ? {} : { cause: cause instanceof Error ? errorDocument(cause, depth + 1) : cause };
  if (isHoldfastError(error)) {
    const { code, message, outcome, retryable, details } = error;
    return { code, message, outcome, retryable, details, ...causes };
  }
  if (!(error instanceof Error)) return { code: 'Internal', message: String(error) };
  const { name, message, stack } = error;
  return { ...(depth === 0 ? { code: 'Internal' } : {}), ...error, name, message, stack, ...causes };
}

function codeOf(error: unknown): string {
  return isHoldfastError(error) ? error.code : 'Internal';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

function causeLines(cause: unknown, terminal: Terminal, depth = 1): string[] {
  if (!(cause instanceof Error)) return [];
  const lines = stackLines(cause, terminal);
  const next = depth < deepestCause ? cause.cause : undefined;
  if (!(next instanceof Error)) return lines;
  return [...lines, `  caused by ${next.name}: ${next.message}`, ...causeLines(next, terminal, depth + 1)];
}

/** Where a container calls the user's code, compiled or by its source map: what is below in a stack is not the user's. */
const runtimeFrame = /\/(?:dist|src)\/(?:common\/activation|runtime\/container\/[a-z-]+|cli\/container-main)\.[jt]s:/;
/** A worker's copy of the bundle; what follows is relative to the module that was deployed. */
const bundleFolder = /(?:file:\/\/)?\/[^()]*\/bundles\//;

/** The frames of a stack without its first lines, which repeat the message, down to the runtime's own and without Node's. */
function stackLines(error: unknown, terminal: Terminal): string[] {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return [];
  const frames = error.stack
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('at ') && !line.includes('node:internal'));
  const runtimeAt = frames.findIndex((frame) => runtimeFrame.test(frame));
  return frames
    .slice(0, runtimeAt < 0 ? frames.length : runtimeAt)
    .map((line) => `    ${terminal.paintNote('dim', line.replace(bundleFolder, ''))}`);
}
