import { App, method } from 'holdfast';
import { nextAction } from './model.js';

export const app = new App('coding-agent', { entry: import.meta.url });

/** No network; what the agent writes runs here and nowhere else. */
export const workspace = app.sandbox({ name: 'workspace', memoryMb: 256, diskGb: 1 });

const mostRounds = 5;

@app.cls({ timeoutMs: 300_000 })
export class Agent {
  /** Writes code until the tests pass, and tells what it does. */
  @method()
  async *solve(tests: string): AsyncGenerator<string> {
    await using session = await workspace.create({ cwd: '/job' });
    await session.writeText('test_it.py', tests);
    let failure: string | null = null;
    for (let round = 1; round <= mostRounds; round++) {
      const action = nextAction(failure);
      if (action.type === 'give-up') throw new Error(`no idea what to do about: ${action.because}`);
      await session.writeText(action.path, action.content);
      yield `round ${round}: wrote ${action.path}`;
      const run = await session.exec(['python3', '-m', 'unittest', '--failfast', 'test_it'], { timeoutMs: 60_000 });
      if (run.exitCode === 0) {
        yield `the tests pass with:\n${await session.readText(action.path)}`;
        return;
      }
      failure = run.stderr;
      yield `round ${round}: ${/^(FAIL|ERROR): \w+/m.exec(failure)?.[0] ?? 'the tests did not run'}`;
    }
    throw new Error(`the tests still fail after ${mostRounds} rounds: ${failure}`);
  }
}
