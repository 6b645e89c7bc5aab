import { createHash } from 'node:crypto';
import type { Logger } from '../../../src/common/context.js';
import { HoldfastError, isHoldfastError } from '../../../src/common/errors.js';
import { keepAlarms } from '../../../src/router/alarms.js';
import { deploy } from '../../../src/router/apps/deploy.js';
import { watchLeases } from '../../../src/router/placement/lease-watch.js';
import { lend } from '../../../src/router/placement/lend.js';
import { createRouterParts, type RouterParts } from '../../../src/router/router-parts.js';
import { ControlStream } from '../../../src/router/service/control-stream.js';
import { OpenRequest, type Request } from '../../../src/router/service/request.js';
import { beatForEver } from '../../../src/router/service/router-heartbeat.js';
import { deploymentView } from '../../../src/router/views/list-apps.js';
import {
  BorrowReply,
  BorrowRequest,
  type DeployHeader,
  Deployment,
  type DeployPart,
  LookupRequest,
} from '../../../src/wire/gen/holdfast/v1/router.js';
import { app } from '../app/recorder.js';
import type { SimProcess } from '../engine/sim-process.js';
import type { ConnectionEnd } from '../net/connection.js';
import { account, type ClusterContext, type RouterListener } from './cluster-context.js';

const redeployWithinMs = 60_000;
const emptySha256 = createHash('sha256').digest('hex');
const silent: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** One run of a router: its parts, with the simulation's channels in place of gRPC. */
export class RouterProcess implements RouterListener {
  readonly process: SimProcess;
  readonly #parts: RouterParts;
  readonly #token: string;
  readonly #streams = new Set<ControlStream>();

  constructor(context: ClusterContext, process: SimProcess, address: string) {
    this.process = process;
    this.#token = context.token;
    const bus = context.bus.connect(process);
    this.#parts = createRouterParts({
      routerId: process.name,
      accounts: [account],
      store: context.storeOf(process),
      bus,
      objects: context.objects.connect(process),
      kms: null,
      clock: process.clock,
      random: process.random,
      log: { ...silent, error: (message, fields) => context.history.failed(`${message} ${JSON.stringify(fields)}`) },
      leaseTimes: context.leaseTimes,
      metrics: null,
    });
    void keepAlarms(this.#parts, this.#parts.closed);
    void watchLeases(this.#parts, this.#parts.closed);
    void beatForEver(
      { bus, clock: process.clock, accounts: [account] },
      { routerId: process.name, address },
      this.#parts.closed,
    );
  }

  accept(channel: ConnectionEnd): void {
    if (this.#parts.closed.aborted) return refuse(channel, closing());
    const authenticate = () => this.#parts.auth.authenticate(this.#token);
    authenticate().then(
      (principal) => {
        const onEnded = (): void => void this.#streams.delete(stream);
        const client = { principal, authenticate, onEnded };
        const stream: ControlStream = new ControlStream({ ...this.#parts, operations: this.#parts }, client, channel);
        this.#streams.add(stream);
      },
      (error: Error) => refuse(channel, error),
    );
  }

  async unary(method: string, ask: Uint8Array): Promise<Uint8Array> {
    if (this.#parts.closed.aborted) throw closing();
    const kind = method === 'Borrow' ? 'worker' : 'client';
    const request = new OpenRequest({ kind, account, role: 'call' }, 0, this.#parts);
    const close = (): void => request.abort(closing());
    this.#parts.closed.addEventListener('abort', close, { once: true });
    try {
      return await request.race(this.#answer(method, ask, request));
    } finally {
      request.end();
      this.#parts.closed.removeEventListener('abort', close);
    }
  }

  async #answer(method: string, ask: Uint8Array, request: Request): Promise<Uint8Array> {
    switch (method) {
      case 'Lookup': {
        const { app, version } = LookupRequest.decode(ask);
        const record = await this.#parts.deployments.lookup(account, app, version);
        return Deployment.encode(deploymentView(record)).finish();
      }
      case 'Borrow':
        return BorrowReply.encode(await lend(this.#parts, BorrowRequest.decode(ask), request)).finish();
      default:
        throw new HoldfastError('InvalidArgument', `the simulation has no ${method}`);
    }
  }

  /** Somebody deploys the same classes again; what runs must stand it. @param done not called where the process ends */
  redeploy(instances: 'keep' | 'restart', done: (isDeployed: boolean) => void = () => undefined): void {
    if (this.process.isAlive) this.process.in(0, () => void this.#redeploy(instances).then(done));
  }

  /** SIGTERM: clients go to other routers. Its process ends a moment later. */
  close(): void {
    for (const stream of [...this.#streams]) stream.close(closing());
    this.#parts.close();
    this.process.in(50, () => this.process.kill());
  }

  async #redeploy(instances: 'keep' | 'restart'): Promise<boolean> {
    const request = new OpenRequest({ kind: 'client', account, role: 'deploy' }, redeployWithinMs, this.#parts);
    try {
      const { manifest } = await this.#parts.deployments.lookup(account, app.name, 0);
      // Nobody reads the bundle: its classes are registered in this process.
      const header = { app: app.name, manifestJson: JSON.stringify(manifest), bundleSha256: emptySha256, instances };
      await deploy(this.#parts, partsOf(header), request);
      return true;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      return false;
    } finally {
      request.end();
    }
  }
}

async function* partsOf(value: DeployHeader): AsyncGenerator<DeployPart> {
  yield { part: { $case: 'header', value } };
}

function refuse(channel: ConnectionEnd, error: Error): void {
  const ignore = (): void => undefined;
  channel.open({ onMessage: ignore, onDrain: ignore, onClosed: ignore });
  channel.close(error);
}

function closing(): HoldfastError {
  return new HoldfastError('Unavailable', 'the router is closing; ask another one');
}
