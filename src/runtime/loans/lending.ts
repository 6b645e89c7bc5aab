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
import { isolationGiven, isolationOf, strength } from '../hosting/isolation-needed.js';
import type { ClassLoader, LoadedClass } from '../hosting/loaded-class.js';
import { filesOfClass, ownContainerOf } from '../hosting/own-container.js';
import { withKeys } from '../mounts/bucket/bucket-keys.js';
import type { RecentFiles } from '../recent-files.js';
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
  readonly recentFiles: RecentFiles;
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

  /**
   * Borrowers give back what they have; resolves when no code of theirs runs in it. Commits of what it wrote into volumes may still
   * be under way: those are waited for where containers end.
   */
  async recall(): Promise<void> {
    await Promise.all([...this.#given].map((loan) => this.#takeBack(loan)));
  }

  /** Kills all that is lent. */
  close(): void {
    for (const loan of this.#given) loan.kill();
  }

  async #takeBack(loan: Loan): Promise<void> {
    loan.recall();
    if (await this.#endsWithin(loan, loan.graceMs + answerWithinMs)) return;
    loan.kill();
    await this.#endsWithin(loan, answerWithinMs);
  }

  async #endsWithin(loan: Loan, withinMs: number): Promise<boolean> {
    const enough = new AbortController();
    const late = this.#deps.clock.sleep(withinMs, enough.signal).then(
      () => false,
      () => true, // aborted: it ended first
    );
    const hasEnded = await Promise.race([loan.ended.then(() => true), late]);
    enough.abort();
    return hasEnded;
  }

  async #bring(given: Loan, ticket: LoanTicket, loan: string): Promise<Container> {
    const { classes, pools, secrets, mayPlace, isolation, recentFiles } = this.#deps;
    const { identity, instanceKey: key, epoch, deployment } = ticket;
    const klass = alone(await classes.load(identity, deployment));
    given.graceMs = 2 * klass.options.exitTimeoutMs;
    const owner = { key, epoch, loan };
    const own = ownContainerOf({ key, klass });
    const needed = isolationOf(klass);
    const isolated = isolationGiven(klass, { classes: isolation, sandboxes: pools.sandboxes && 'bubblewrap' });
    if (strength[needed] > strength[isolated])
      throw noRoom(`this worker gives isolation '${isolated}', the class needs '${needed}'`);
    const variables = secrets.of(owner, klass);
    // Now: its ticket buys them, and has expired by the time that a container with a large image is there.
    await variables();
    const ofMounts = await secrets.ofMounts(owner, mountSecrets(klass.options.volumes ?? []))();
    if (!mayPlace()) throw noRoom('this worker is draining or fenced');
    const room = pools.of(klass).reserve(klass, variables);
    if (room === null) throw noRoom('this worker runs its limit of containers');
    const { container, ready } = await room.take(withKeys(own, ofMounts));
    await ready;
    recentFiles.used(own ?? filesOfClass(klass));
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
