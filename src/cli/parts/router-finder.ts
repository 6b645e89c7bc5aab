import { systemClock } from '../../adapters/system/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Bus, BusSubscription } from '../../common/ports/bus.js';
import type { Transport } from '../../common/ports/channel.js';
import type { SigningKey } from '../../common/ports/store.js';
import { RouterHeartbeat } from '../../wire/gen/holdfast/v1/bus.js';
import { createGrpcTransport, type TlsTexts } from '../../wire/grpc/grpc-transport.js';
import { allRouterHeartbeatsSubject } from '../../wire/subjects.js';
import { mintWorkerToken } from '../../wire/token.js';
import { hostOf } from './host-of.js';

const silentAfterMs = 3_500;
const tokenLifeMs = 30 * 86_400_000;

interface Dialed {
  readonly endpoint: string;
  readonly transport: Transport;
  readonly expiresAtMs: number;
}

/** Which router a worker's containers speak to: one whose heartbeat comes, the same one for as long as it does. */
export class RouterFinder {
  readonly #account: string;
  readonly #tls: TlsTexts | undefined;
  readonly #subscription: BusSubscription;
  /** When each was heard last, by address. */
  readonly #heard = new Map<string, number>();
  #dialed: Dialed | null = null;

  /** @param tls of what it dials; undefined: plain */
  constructor(account: string, bus: Bus, tls: TlsTexts | undefined) {
    this.#account = account;
    this.#tls = tls;
    this.#subscription = bus.subscribe(allRouterHeartbeatsSubject(account), ({ payload }) => {
      this.#heard.set(RouterHeartbeat.decode(payload).address, systemClock.monotonic());
    });
  }

  /** Of routers that were heard, without ports. */
  get hosts(): string[] {
    return [...this.#heard.keys()].map(hostOf);
  }

  /** @throws Unavailable while no router is heard */
  transport(keys: readonly SigningKey[]): Transport {
    const [key] = keys;
    const now = systemClock.now();
    const known = this.#dialed;
    if (known !== null && this.#isAlive(known.endpoint) && known.expiresAtMs - now > tokenLifeMs / 2)
      return known.transport;
    const endpoint = [...this.#heard.keys()].find((address) => this.#isAlive(address));
    if (endpoint === undefined || key === undefined) {
      throw new HoldfastError('Unavailable', 'the worker hears no router; start one on the same NATS');
    }
    const expiresAtMs = now + tokenLifeMs;
    const token = mintWorkerToken(key, { account: this.#account, role: 'call', expiresAtMs });
    // The one before is gone or its token old; who still speaks through it dials again and resumes.
    void known?.transport.close();
    const transport = createGrpcTransport({ endpoint, token, tls: this.#tls, clock: systemClock });
    this.#dialed = { endpoint, transport, expiresAtMs };
    return transport;
  }

  async close(): Promise<void> {
    this.#subscription.unsubscribe();
    await this.#dialed?.transport.close();
  }

  #isAlive(address: string): boolean {
    const heardAt = this.#heard.get(address);
    if (heardAt !== undefined && systemClock.monotonic() - heardAt < silentAfterMs) return true;
    this.#heard.delete(address);
    return false;
  }
}
