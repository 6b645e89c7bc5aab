import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findConnection } from '../../src/cli/commands/connection.js';
import { holdProjectFolder, projectFolderOf } from '../../src/cli/dev/project-folder.js';
import { readDevState, removeDevState, writeDevState } from '../../src/cli/dev/state-file.js';

let env: { XDG_STATE_HOME: string };

beforeEach(() => {
  env = { XDG_STATE_HOME: mkdtempSync(join(tmpdir(), 'holdfast-state-')) };
});
afterEach(() => rmSync(env.XDG_STATE_HOME, { recursive: true }));

describe('the cluster that a command talks to', () => {
  const dev = { endpoint: '127.0.0.1:7070', token: 'dev-token' };

  it('is the one of holdfast dev where nothing else is named', () => {
    writeDevState(env, dev);
    expect(findConnection({}, env)).toEqual(dev);
  });

  it('is named by options first and by the environment second', () => {
    writeDevState(env, dev);
    const variables = { ...env, HOLDFAST_ENDPOINT: 'env:1', HOLDFAST_TOKEN: 'env-token' };
    expect(findConnection({}, variables)).toEqual({ endpoint: 'env:1', token: 'env-token' });
    const options = { endpoint: 'option:1', token: 'option-token' };
    expect(findConnection(options, variables)).toEqual(options);
  });

  it('never gets the token of holdfast dev where it is another one', () => {
    writeDevState(env, dev);
    expect(() => findConnection({ endpoint: 'elsewhere:1' }, env)).toThrow(/no token for elsewhere:1/);
    expect(findConnection({ endpoint: dev.endpoint }, env).token).toBe(dev.token);
  });

  it('is asked for where nothing names one', () => {
    expect(() => findConnection({}, env)).toThrow(/start one with `holdfast dev`/);
    expect(() => findConnection({ endpoint: 'h:1', token: 't', ca: 'no-such.pem' }, env)).toThrow(/no-such\.pem/);
  });

  it('is shown a certificate with its key, or none', () => {
    const file = import.meta.filename;
    const to = { endpoint: 'h:1', token: 't' };
    expect(findConnection({ ...to, cert: file }, { ...env, HOLDFAST_KEY: file }).tls).toEqual({
      cert: file,
      key: file,
    });
    expect(() => findConnection({ ...to, cert: file }, env)).toThrow(/--key or HOLDFAST_KEY/);
    expect(() => findConnection(to, { ...env, HOLDFAST_KEY: file })).toThrow(/--cert or HOLDFAST_CERT/);
    expect(() => findConnection({ ...to, cert: file, key: 'no-such.key' }, env)).toThrow(/--key: .*no-such\.key/);
  });
});

describe('the state file of holdfast dev', () => {
  it('is removed by the one that wrote it last, and by no other', () => {
    const [first, second] = [
      { endpoint: 'a:1', token: 'first' },
      { endpoint: 'b:1', token: 'second' },
    ] as const;
    writeDevState(env, first);
    writeDevState(env, second);
    removeDevState(env, first);
    expect(readDevState(env)).toEqual(second);
    removeDevState(env, second);
    expect(readDevState(env)).toBeNull();
  });
});

describe('the folder of a project', () => {
  it('is the same each time, and another for another module of the same name', () => {
    expect(projectFolderOf('/a/app.ts', env)).toBe(projectFolderOf('/a/app.ts', env));
    expect(projectFolderOf('/a/app.ts', env)).not.toBe(projectFolderOf('/b/app.ts', env));
  });

  it('is held by one process, and taken over from one that is gone', () => {
    const path = projectFolderOf('/a/app.ts', env);
    const held = holdProjectFolder(path);
    expect(() => holdProjectFolder(path)).toThrow(`as process ${process.pid}`);
    held.release();
    // The number of a process that runs, but of an earlier one: start times tell them apart.
    writeFileSync(join(path, 'lock'), JSON.stringify({ pid: process.pid, startTime: '1' }));
    holdProjectFolder(path).release();
  });
});
