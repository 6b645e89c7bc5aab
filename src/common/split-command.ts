import { HoldfastError } from './errors.js';

/**
 * Splits a command line into words as a POSIX shell does, and expands nothing: quotes and backslashes count, `$`, `*`, `|` and
 * `;` are ordinary characters.
 *
 * @throws InvalidArgument for a quote that is not closed, or no word at all
 */
export function splitCommand(line: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  for (let at = 0; at < line.length; ) {
    const char = line.charAt(at);
    if (/[ \t\r\n]/.test(char)) {
      if (word !== null) words.push(word);
      word = null;
      at += 1;
      continue;
    }
    const piece = char === "'" ? singleQuoted(line, at) : char === '"' ? doubleQuoted(line, at) : bare(line, at);
    word = (word ?? '') + piece.text;
    at = piece.end;
  }
  if (word !== null) words.push(word);
  if (words.length === 0) throw new HoldfastError('InvalidArgument', 'a command must have at least one word');
  return words;
}

interface Piece {
  readonly text: string;
  readonly end: number;
}

/** A backslash before a newline joins two lines; before anything else it makes that an ordinary character. */
function bare(line: string, at: number): Piece {
  if (line.charAt(at) !== '\\') return { text: line.charAt(at), end: at + 1 };
  const next = line.charAt(at + 1);
  if (next === '') throw unfinished('a backslash has nothing behind it');
  return { text: next === '\n' ? '' : next, end: at + 2 };
}

function singleQuoted(line: string, at: number): Piece {
  const end = line.indexOf("'", at + 1);
  if (end < 0) throw unfinished("a quote (') is not closed");
  return { text: line.slice(at + 1, end), end: end + 1 };
}

/** Between double quotes a backslash counts only before these. */
const escapable = new Set(['$', '`', '"', '\\']);

function doubleQuoted(line: string, start: number): Piece {
  let text = '';
  for (let at = start + 1; at < line.length; at += 1) {
    const char = line.charAt(at);
    if (char === '"') return { text, end: at + 1 };
    const next = line.charAt(at + 1);
    if (char === '\\' && (escapable.has(next) || next === '\n')) {
      if (next !== '\n') text += next;
      at += 1;
    } else {
      text += char;
    }
  }
  throw unfinished('a quote (") is not closed');
}

function unfinished(why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `the command cannot be split into words: ${why}; give a list of words`);
}
