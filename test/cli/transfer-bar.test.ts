import { describe, expect, it } from 'vitest';
import { TransferBar } from '../../src/cli/output/transfer-bar.js';
import { ManualClock } from '../manual-clock.js';
import { fakeTerminal } from './fake-terminal.js';

const transfer = { name: 'data.bin', bytes: 4_000 };

function drawing(columns: number) {
  const drawn: string[] = [];
  return { ...fakeTerminal(columns), isInteractive: true, drawn, redraw: (text: string) => void drawn.push(text) };
}

describe('the bar of a transfer', () => {
  it('shows the share that was moved, and is gone at the end, whatever it is', async () => {
    const on = { terminal: drawing(80), clock: new ManualClock() };
    await TransferBar.during(transfer, on, async (onProgress) => onProgress(1_000));
    expect(on.terminal.drawn).toHaveLength(2);
    expect(on.terminal.drawn[0]).toMatch(/^data\.bin █{6}░{18} 25% /);
    expect(on.terminal.drawn[1]).toBe('');
    expect(on.terminal.err[0]).toMatch(/^data\.bin: /);
    const broken = TransferBar.during(transfer, on, () => Promise.reject(new Error('broken')));
    await expect(broken).rejects.toThrow('broken');
    expect(on.terminal.drawn.slice(2)).toEqual(['']);
    expect(on.terminal.err).toHaveLength(1);
  });

  it('keeps to one row, and is none where nobody looks', async () => {
    const on = { terminal: drawing(60), clock: new ManualClock() };
    await TransferBar.during({ ...transfer, name: 'x'.repeat(100) }, on, async (onProgress) => onProgress(4_000));
    expect(on.terminal.drawn[0]?.length).toBeLessThan(60);
    expect(on.terminal.drawn[0]).toMatch(/^x+… █{24} 100% /);
    const quiet = { ...on, terminal: { ...drawing(60), isInteractive: false } };
    await TransferBar.during(transfer, quiet, async (onProgress) => onProgress(4_000));
    expect(quiet.terminal.drawn).toEqual([]);
  });
});
