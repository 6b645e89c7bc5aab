import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../src/cli/program.js';
import { ManualClock } from '../manual-clock.js';
import { fakeTerminal } from './fake-terminal.js';

const terminal = fakeTerminal(80);
const program = createProgram({ terminal, env: {}, clock: new ManualClock(), signal: new AbortController().signal });

function below(command: Command): Command[] {
  return [command, ...command.commands.flatMap(below)];
}

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

describe('help', () => {
  it('is shown for a command below another', async () => {
    terminal.out.length = 0;
    await program.parseAsync(['help', 'sandbox', 'exec'], { from: 'user' });
    expect(terminal.out.join('\n')).toMatch(/^Usage: holdfast sandbox exec /);
  });

  it('about what is no command names the page that lists them', async () => {
    const asked = program.parseAsync(['help', 'sandbox', 'exce'], { from: 'user' });
    await expect(asked).rejects.toThrow("there is no command 'sandbox exce'; `holdfast help sandbox` shows all");
  });

  it.each(below(program).map((command) => [fullName(command), command] as const))(
    'of %s fits a terminal of 80 columns',
    (_name, command) => {
      command.configureOutput({ getOutHelpWidth: () => 80 });
      terminal.out.length = 0;
      command.outputHelp();
      const lines = terminal.out.flatMap((text) => text.split('\n'));
      expect(lines.length).toBeGreaterThan(2);
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
    },
  );
});
