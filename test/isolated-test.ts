import { test } from 'vitest';
import { canIsolate, canRunPython } from './isolation-host.js';

export { canIsolate };

/** A test in real sandboxes. Where the host has none it is skipped, and said so; in CI it fails. */
export const isolatedTest = canIsolate ? test : test.skip;

/** The same of one that runs `python3` there. */
export const pythonTest = canRunPython ? test : test.skip;
