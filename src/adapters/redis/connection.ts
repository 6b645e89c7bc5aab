import { Cluster, type Redis } from 'ioredis';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { type ConnectionListener, ConnectionWatch } from '../connection-watch.js';
import { withDeadline } from '../deadline.js';
import { makeClient } from './client.js';
import { connectError, type StoreOperation, storeAway, storeError, storeTimeout } from './errors.js';
import { loadScripts, type Script, type ScriptName } from './scripts.js';
import { parseRedisUrl } from './url.js';

const closeWithinMs = 1_000;

/** A client with a deadline on every operation, whose errors are `HoldfastError`s. */
export class RedisConnection {
  readonly client: Redis | Cluster;
  readonly isCluster: boolean;
  readonly #shown: string;
  readonly #clock: Clock;
  readonly #opTimeoutMs: number;
  readonly #scripts: Readonly<Record<ScriptName, Script>>;
  /** Of the masters of a Cluster, by address: as many as it ever had. */
  readonly #runs = new Map<string, string>();
  #isClosed = false;

  private constructor(client: Redis | Cluster, settings: ConnectionSettings, shown: string) {
    this.client = client;
    this.isCluster = client instanceof Cluster;
    this.#shown = shown;
    this.#clock = settings.clock;
    this.#opTimeoutMs = settings.opTimeoutMs;
    this.#scripts = loadScripts();
  }

  /** @throws InvalidArgument for the url, Unavailable when no connection comes up */
  static async open(settings: ConnectionSettings): Promise<RedisConnection> {
    const address = parseRedisUrl(settings.url);
    const client = makeClient(address, settings.opTimeoutMs);
    let lastError: unknown = null;
    // Kept for the life of the client, which prints errors that nobody listens to.
    client.on('error', (error: unknown) => {
      lastError = error;
    });
    const operation = { what: 'connecting', server: address.shown };
    try {
      await withDeadline(connectAndPing(client), {
        clock: settings.clock,
        timeoutMs: settings.opTimeoutMs,
        onTimeout: () => storeTimeout(operation, settings.opTimeoutMs),
      });
    } catch (error) {
      client.disconnect();
      throw connectError(address.shown, reasonOf(lastError) ?? error);
    }
    const connection = new RedisConnection(client, settings, address.shown);
    const { clock, onConnection } = settings;
    if (onConnection === undefined) return connection;
    const watch = new ConnectionWatch(address.shown, clock, onConnection);
    lastError = null;
    client.on('close', () => {
      if (!connection.#isClosed) watch.lost(lastError === null ? 'it was closed' : String(reasonOf(lastError)));
    });
    client.on('ready', () => {
      lastError = null;
      watch.back();
    });
    return connection;
  }

  /** @throws Unavailable, Internal */
  async run<T>(what: string, send: (client: Redis | Cluster) => Promise<T>): Promise<T> {
    const operation: StoreOperation = { what, server: this.#shown };
    if (this.#isClosed) throw new HoldfastError('Unavailable', `${what}: the store is closed`, { retryable: false });
    if (this.client.status !== 'ready') throw storeAway(operation);
    try {
      return await withDeadline(send(this.client), {
        clock: this.#clock,
        timeoutMs: this.#opTimeoutMs,
        onTimeout: () => storeTimeout(operation, this.#opTimeoutMs),
      });
    } catch (error) {
      throw storeError(error, operation);
    }
  }

  /** Runs a script; all of `keys` share a slot. @throws Unavailable, Internal */
  script(name: ScriptName, what: string, call: ScriptCall): Promise<unknown> {
    const { sha, lua } = this.#scripts[name];
    const { keys, args } = call;
    return this.run(what, async (client) => {
      try {
        return await client.evalsha(sha, keys.length, ...keys, ...args);
      } catch (error) {
        if (!isUnknownScript(error)) throw error;
        return client.eval(lua, keys.length, ...keys, ...args);
      }
    });
  }

  /** As `script`, for arguments and answers that are bytes. @throws Unavailable, Internal */
  binaryScript(name: ScriptName, what: string, call: BinaryScriptCall): Promise<unknown> {
    const { sha, lua } = this.#scripts[name];
    const { keys, args } = call;
    return this.run(what, async (client) => {
      try {
        return await client.callBuffer('EVALSHA', [sha, keys.length, ...keys, ...args]);
      } catch (error) {
        if (!isUnknownScript(error)) throw error;
        return client.callBuffer('EVAL', [lua, keys.length, ...keys, ...args]);
      }
    });
  }

  /**
   * The runs of the masters. Of a Cluster one that does not answer is taken for what it was: where another one has taken over
   * from it, that one must answer. @throws Unavailable
   */
  servers(): Promise<readonly string[]> {
    const what = 'asking for the server';
    return this.run(what, (client) => {
      if (!(client instanceof Cluster)) return client.info('server').then((info) => [runOf(info)]);
      return Promise.all(client.nodes('master').map((node) => this.#runOfNode(node, what)));
    });
  }

  async #runOfNode(node: Redis, what: string): Promise<string> {
    const address = `${node.options.host}:${node.options.port}`;
    const timeoutMs = this.#opTimeoutMs / 2;
    const late = storeTimeout({ what, server: address }, timeoutMs);
    const deadline = { clock: this.#clock, timeoutMs, onTimeout: () => late };
    const info = await withDeadline(node.info('server'), deadline).catch((error: unknown) => error);
    const before = this.#runs.get(address);
    if (typeof info !== 'string' && before !== undefined) return before;
    if (typeof info !== 'string') throw info;
    this.#runs.set(address, runOf(info));
    return runOf(info);
  }

  /** An error of the server's that came as a part of an answer, as `run` would have thrown it. */
  errorOf(what: string, error: unknown): HoldfastError {
    return storeError(error, { what, server: this.#shown });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const late = new Error('QUIT was not answered');
    await withDeadline(this.client.quit(), {
      clock: this.#clock,
      timeoutMs: closeWithinMs,
      onTimeout: () => late,
    }).catch(() => undefined); // Away or slow: the connection is cut below.
    this.client.disconnect();
  }
}

export interface ConnectionSettings {
  readonly url: string;
  readonly opTimeoutMs: number;
  readonly clock: Clock;
  readonly onConnection?: ConnectionListener;
}

export interface ScriptCall {
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

export interface BinaryScriptCall {
  readonly keys: readonly string[];
  readonly args: readonly (string | number | Buffer)[];
}

/** A server that restarted or took over does not have it yet; nothing ran. */
function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

function runOf(info: string): string {
  return /^run_id:(\w+)/m.exec(info)?.[1] ?? '';
}

async function connectAndPing(client: Redis | Cluster): Promise<void> {
  await client.connect();
  await client.ping();
}

/** A cluster client's error hides the errors of its nodes. */
function reasonOf(error: unknown): unknown {
  const hidden = (error as { lastNodeError?: unknown } | null)?.lastNodeError;
  return hidden ?? error;
}
