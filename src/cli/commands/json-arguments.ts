import { HoldfastError } from '../../common/errors.js';

/**
 * Arguments as the shell gives them: one JSON array, or nothing for none.
 *
 * @param what how the usage names them
 * @throws InvalidArgument that shows the right form
 */
export function parseJsonArguments(text: string | undefined, what: string): unknown[] {
  if (text === undefined) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const form = /^\s*\[/.test(text) ? `'["text", 2, true]'` : quoted([text]);
    throw new HoldfastError('InvalidArgument', `${what} is not JSON (${why}): write a JSON array in quotes, ${form}`, {
      cause,
    });
  }
  if (Array.isArray(value)) return value;
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  throw new HoldfastError(
    'InvalidArgument',
    `${what} must be a JSON array with one entry per argument, got ${shown}: write ${quoted([value])}`,
  );
}

/** For a POSIX shell. */
function quoted(values: readonly unknown[]): string {
  const text = JSON.stringify(values);
  return `'${(text.length > 100 ? '["text", 2, true]' : text).replaceAll("'", `'\\''`)}'`;
}
