import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** Where a command writes: data to stdout, everything meant for people to stderr. */
export interface Terminal {
  /** A line of data. */
  print(line: string): void;
  /** A line for people. */
  note(line: string): void;
  /** Styled for stdout; plain where that is no terminal or NO_COLOR is set. */
  paint(style: Style, text: string): string;
  /** Styled for stderr. */
  paintNote(style: Style, text: string): string;
  /** Replaces the current line of stderr; only where `isInteractive`. */
  redraw(text: string): void;
  /** Width of stdout; null where it is no terminal. */
  readonly columns: number | null;
  /** Width of stderr; null where it is no terminal. */
  readonly noteColumns: number | null;
  /** Stderr is a terminal that can redraw a line. */
  readonly isInteractive: boolean;
}

/** The streams of a process; tests give their own. */
export interface TerminalStreams {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

const clearLine = '\r\u001b[2K';
const narrowest = 40;

/** A terminal over the process's own streams. */
export function createTerminal({ stdout, stderr }: TerminalStreams, env: NodeJS.ProcessEnv): Terminal {
  let isDrawn = false;
  const write = (stream: NodeJS.WriteStream, line: string): void => {
    // The line that turns is drawn again, below this one.
    if (isDrawn) stderr.write(clearLine);
    isDrawn = false;
    stream.write(`${line}\n`);
  };
  return {
    print: (line) => write(stdout, line),
    note: (line) => write(stderr, line),
    paint: (style, text) => paint(style, text, stdout),
    paintNote: (style, text) => paint(style, text, stderr),
    redraw: (text) => {
      isDrawn = text !== '';
      stderr.write(`${clearLine}${text}`);
    },
    columns: widthOf(stdout),
    noteColumns: widthOf(stderr),
    isInteractive: stderr.isTTY === true && env['TERM'] !== 'dumb' && !env['CI'],
  };
}

function widthOf({ isTTY, columns }: NodeJS.WriteStream): number | null {
  return isTTY ? Math.max(narrowest, columns || 80) : null;
}

function paint(style: Style, text: string, stream: NodeJS.WriteStream): string {
  return styleText(style, text, { stream, validateStream: true });
}
