import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { BootId } from '../../common/ids.js';
import type { Isolation } from '../../common/manifest.js';
import type { Channel, ChannelHandlers } from '../../common/ports/channel.js';
import type { SigningKey } from '../../common/ports/store.js';
import { mountSecrets } from '../../common/volume-mounts.js';
import { LoanMessage, readBorrow } from '../../wire/loan-messages.js';
import { type LoanTicket, verifyLoanTicket } from '../../wire/loan-ticket.js';
import type { Container } from '../hosting/container.js';
import type { ContainerPools } from '../hosting/container-pools.js';
import type { ClassLoader, LoadedClass } from '../hosting/loaded-class.js';
import { ownContainerOf } from '../hosting/own-container.js';
import { withKeys } from '../mounts/bucket/bucket-keys.js';
import type { Secrets } from '../secret-source.js';
import { Loan } from './loan.js';

export interface LendingDeps {
  readonly bootId: BootId;
  readonly clock: Clock;
  readonly isolation: Isolation;
  readonly keys: () => readonly SigningKey[];
  readonly classes: ClassLoader;
  readonly pools: ContainerPools;
  readonly secrets: Secrets;
  /** False: fenced or draining. */
  readonly mayPlace: () => boolean;
}

/** Beside the `exitTimeoutMs` that calls and hooks have, each. */
const answerWithinMs = 2_000;

/** What this worker lends to pools that are at other workers. */
export class Lending {
  readonly #deps: LendingDeps;
  readonly #given = new Set<Loan>();

  constructor(deps: LendingDeps) {
    this.#deps = deps;
  }

  /** Null: the channel is no borrower's. @throws InvalidArgument, PermissionDenied */
  accept(channel: Channel, first: Uint8Array): ChannelHandlers | null {
    if (first[0] !== LoanMessage.borrow) return null;
    const { clock, keys, bootId } = this.#deps;
    const text = readBorrow(first);
    const ticket = verifyLoanTicket(keys(), text, clock.now());
    if (ticket.lender !== bootId)
      throw new HoldfastError('Unavailable', `boot ${ticket.lender} is over, this is ${bootId}`);
    const loan = new Loan(channel, clock, (given) => this.#bring(given, ticket, text));
    this.#given.add(loan);
    void loan.ended.then(() => this.#given.delete(loan));
    return loan;
  }

  /** Borrowers give back what they have; resolves when nothing is lent any more. */
  async recall(): Promise<void> {
    await Promise.all([...this.#given].map((loan) => this.#takeBack(loan)));
  }

  /** Kills all that is lent. */
  close(): void {
    for (const loan of this.#given) loan.kill();
  }

  async #takeBack(loan: Loan): Promise<void> {
    loan.recall();
    const late = this.#deps.clock.after(loan.graceMs + answerWithinMs, () => loan.kill());
    await loan.ended;
    late.cancel();
  }

  async #bring(given: Loan, ticket: LoanTicket, loan: string): Promise<Container> {
    const { classes, pools, secrets, mayPlace, isolation } = this.#deps;
    const { identity, instanceKey: key, epoch, deployment } = ticket;
    const klass = alone(await classes.load(identity, deployment));
    given.graceMs = 2 * klass.options.exitTimeoutMs;
    const owner = { key, epoch, loan };
    const own = ownContainerOf({ key, klass });
    if (own !== null && isolation === 'process')
      throw noRoom('this worker does not isolate, which its volumes or its image need');
    const variables = secrets.of(owner, klass);
    const ofMounts = await secrets.ofMounts(owner, mountSecrets(klass.options.volumes ?? []))();
    if (!mayPlace()) throw noRoom('this worker is draining or fenced');
    const room = pools.of(klass).reserve(klass, variables);
    if (room === null) throw noRoom('this worker runs its limit of containers');
    const { container, ready } = await room.take(withKeys(own, ofMounts));
    await ready;
    return container;
  }
}

/** No other instance comes into a container that is lent. */
function alone(klass: LoadedClass): LoadedClass {
  const { label, options } = klass;
  if (options.tasksPerContainer === 1) return klass;
  return { ...klass, label: `${label}#lent`, options: { ...options, tasksPerContainer: 1 } };
}

function noRoom(why: string): HoldfastError {
  return new HoldfastError('NoCapacity', why);
}
