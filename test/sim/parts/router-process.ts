import type { Logger } from '../../../src/common/context.js';
import { HoldfastError } from '../../../src/common/errors.js';
import { keepAlarms } from '../../../src/router/alarms.js';
import { createRouterParts, type RouterParts } from '../../../src/router/router-parts.js';
import { ControlStream } from '../../../src/router/service/control-stream.js';
import { beatForEver } from '../../../src/router/service/router-heartbeat.js';
import { deploymentView } from '../../../src/router/views/list-apps.js';
import { Deployment, LookupRequest } from '../../../src/wire/gen/holdfast/v1/router.js';
import type { SimProcess } from '../engine/sim-process.js';
import type { ConnectionEnd } from '../net/connection.js';
import { account, type ClusterContext, type RouterListener } from './cluster-context.js';

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
    void beatForEver(
      { bus, clock: process.clock, accounts: [account] },
      { routerId: process.name, address },
      this.#parts.closed,
    );
  }

  accept(channel: ConnectionEnd): void {
    const authenticate = () => this.#parts.auth.authenticate(this.#token);
    authenticate().then(
      (principal) => {
        const onEnded = (): void => void this.#streams.delete(stream);
        const client = { principal, authenticate, onEnded };
        const stream: ControlStream = new ControlStream({ ...this.#parts, operations: this.#parts }, client, channel);
        this.#streams.add(stream);
      },
      (error: Error) => {
        const ignore = (): void => undefined;
        channel.open({ onMessage: ignore, onDrain: ignore, onClosed: ignore });
        channel.close(error);
      },
    );
  }

  async unary(method: string, request: Uint8Array): Promise<Uint8Array> {
    if (method !== 'Lookup') throw new HoldfastError('InvalidArgument', `the simulation has no ${method}`);
    const { app, version } = LookupRequest.decode(request);
    const record = await this.#parts.deployments.lookup(account, app, version);
    return Deployment.encode(deploymentView(record)).finish();
  }

  /** SIGTERM: clients go to other routers. Its process ends a moment later. */
  close(): void {
    const reason = new HoldfastError('Unavailable', 'the router is closing; ask another one');
    for (const stream of [...this.#streams]) stream.close(reason);
    this.#parts.close();
    this.process.in(50, () => this.process.kill());
  }
}
