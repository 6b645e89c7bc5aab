import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../../src/sdk/client.js';
import { settings } from '../../src/sdk/default-client.js';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-settings-'));
  mkdirSync(join(folder, 'holdfast'));
  writeFileSync(join(folder, 'holdfast', 'dev.json'), JSON.stringify({ endpoint: '127.0.0.1:9001', token: 'dev' }));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const nowhere = { XDG_STATE_HOME: '/dev/null' };

describe('the settings of a client', () => {
  test('default to a router on this machine', () => {
    expect(settings({}, nowhere)).toEqual({ endpoint: '127.0.0.1:7070', token: null, tls: null });
  });

  test('come from the environment where nothing is given, and what is given wins', () => {
    const env = { ...nowhere, HOLDFAST_ENDPOINT: 'router:1', HOLDFAST_TOKEN: 't', HOLDFAST_CA: '/ca.pem' };
    expect(settings({}, env)).toEqual({ endpoint: 'router:1', token: 't', tls: { ca: '/ca.pem' } });
    expect(settings({ endpoint: 'other:2', token: 'u', tls: {} }, env)).toEqual({
      endpoint: 'other:2',
      token: 'u',
      tls: {},
    });
  });

  test('find the router that runs for development', () => {
    const env = { XDG_STATE_HOME: folder };
    expect(settings({}, env)).toEqual({ endpoint: '127.0.0.1:9001', token: 'dev', tls: null });
  });

  test('never give the token of development to another router', () => {
    const env = { XDG_STATE_HOME: folder };
    expect(settings({ endpoint: '127.0.0.1:9001' }, env).token).toBe('dev');
    expect(settings({ endpoint: 'elsewhere:9001' }, env).token).toBe(null);
    expect(settings({}, { ...env, HOLDFAST_ENDPOINT: 'elsewhere:1' }).token).toBe(null);
    expect(settings({}, { ...env, HOLDFAST_TOKEN: 'mine' })).toMatchObject({
      endpoint: '127.0.0.1:7070',
      token: 'mine',
    });
  });

  test('take several routers, all with TLS or all without', () => {
    const several = settings({ endpoint: 'a, http://b:1 ,c:2' }, nowhere);
    expect(several).toMatchObject({ endpoint: 'a:7070,b:1,c:2', tls: null });
    expect(settings({}, { ...nowhere, HOLDFAST_ENDPOINT: 'https://a,https://b:1' })).toMatchObject({
      endpoint: 'a:443,b:1',
      tls: {},
    });
    expect(() => settings({ endpoint: 'https://a,b' }, nowhere)).toThrow('before all endpoints or before none');
    expect(() => settings({ endpoint: 'a,,b' }, nowhere)).toThrow('an endpoint must be host:port or a URL');
    expect(settings({ endpoint: '127.0.0.1:9001,b:1' }, { XDG_STATE_HOME: folder }).token).toBe(null);
  });

  test('show the certificate that the environment names, with its key', () => {
    const env = { ...nowhere, HOLDFAST_CERT: '/cert.pem', HOLDFAST_KEY: '/key.pem' };
    expect(settings({}, env).tls).toEqual({ cert: '/cert.pem', key: '/key.pem' });
    expect(settings({}, { ...env, HOLDFAST_CA: '/ca.pem' }).tls).toMatchObject({ ca: '/ca.pem', cert: '/cert.pem' });
    expect(settings({ tls: {} }, env).tls).toEqual({});
    expect(() => settings({}, { ...env, HOLDFAST_KEY: '' })).toThrow('HOLDFAST_KEY is not: set both');
    expect(() => settings({}, { ...nowhere, HOLDFAST_KEY: '/key.pem' })).toThrow('HOLDFAST_CERT is not: set both');
  });

  test('take a PEM that is undefined for one that is not given', async () => {
    await using client = new Client({ endpoint: '127.0.0.1:1', tls: { ca: undefined } });
    expect(client).toBeInstanceOf(Client);
    expect(() => new Client({ tls: { ca: 7 as never } })).toThrow('PEM');
  });

  test('understand URLs', () => {
    expect(settings({ endpoint: 'http://router' }, nowhere)).toMatchObject({ endpoint: 'router:7070', tls: null });
    expect(settings({ endpoint: 'https://router' }, nowhere)).toMatchObject({ endpoint: 'router:443', tls: {} });
    expect(settings({ endpoint: '[::1]:7070' }, nowhere).endpoint).toBe('[::1]:7070');
    for (const endpoint of ['', 'ftp://x', 'http://x/path', 'a b']) {
      expect(() => settings({ endpoint }, nowhere)).toThrow('an endpoint must be host:port or a URL');
    }
  });
});
