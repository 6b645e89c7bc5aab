import type { Terminal } from './terminal.js';

/** The state of an instance, coloured by how it is doing. */
export function instanceStateText(state: string, terminal: Terminal): string {
  if (state === 'active') return terminal.paint('green', state);
  if (state === 'lost') return terminal.paint('red', state);
  return state === 'idle' || state === 'closed' ? terminal.paint('dim', state) : terminal.paint('yellow', state);
}
