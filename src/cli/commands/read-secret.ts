import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { HoldfastError } from '../../common/errors.js';
import type { CommandContext } from './command-context.js';

const mostBytes = 1_048_576;

/**
 * A value that must not be seen: what is piped in, without its last line break, or one line that is typed and not shown.
 * @throws InvalidArgument where there is nothing, Cancelled at Ctrl-C
 */
export async function readSecret(prompt: string, { terminal, signal }: CommandContext): Promise<string> {
  const text = process.stdin.isTTY ? await typed(prompt, signal) : (await piped(signal)).replace(/\r?\n$/, '');
  if (process.stdin.isTTY) terminal.note('');
  if (text === '') throw new HoldfastError('InvalidArgument', 'there is no value: type it, or pipe it in');
  return text;
}

async function piped(signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const stop = (): void => void process.stdin.destroy(cancelled());
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const chunk of process.stdin) {
      bytes += (chunk as Buffer).length;
      if (bytes > mostBytes) throw new HoldfastError('InvalidArgument', `the value has more than ${mostBytes} bytes`);
      chunks.push(chunk as Buffer);
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function typed(prompt: string, signal: AbortSignal): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  // The terminal shows nothing from here on; who types as soon as he is asked is not seen either.
  process.stderr.write(prompt);
  return new Promise((resolve, reject) => {
    const stop = (): void => lines.close();
    signal.addEventListener('abort', stop, { once: true });
    lines.once('line', (line) => {
      resolve(line);
      lines.close();
    });
    lines.once('close', () => {
      signal.removeEventListener('abort', stop);
      reject(cancelled());
    });
  });
}

function cancelled(): HoldfastError {
  return new HoldfastError('Cancelled', 'no value was given; nothing was set');
}
