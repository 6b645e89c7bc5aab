import { describe, expect, it } from 'vitest';
import type { BootId, InstanceKey, WorkerId } from '../../../src/common/ids.js';
import type { ContainerExit } from '../../../src/common/ports/container.js';
import { Container } from '../../../src/runtime/hosting/container.js';
import { BorrowedProcess } from '../../../src/runtime/loans/borrowed-process.js';
import { Lending, type LendingDeps } from '../../../src/runtime/loans/lending.js';
import { Loan } from '../../../src/runtime/loans/loan.js';
import { createChannelPair } from '../../../src/wire/link/channel-pair.js';
import { LinkHost } from '../../../src/wire/link/link-host.js';
import {
  LoanMessage,
  loanMessage,
  readBorrow,
  readGone,
  readRenew,
  readSettled,
} from '../../../src/wire/loan-messages.js';
import { type LoanTicket, mintLoanTicket, verifyLoanTicket } from '../../../src/wire/loan-ticket.js';
import { ManualClock } from '../../manual-clock.js';
import { ScriptedContainer } from '../scripted-container.js';
import { turns, until } from '../until.js';

const workerId = 'w2' as WorkerId;
const asked = { workerId, ticket: 'a ticket', withinMs: 30_000 };
const leaseMs = 11_000;
const endedAfter = async () => undefined;

/** A container that one worker lends another, each with an end of a channel. */
function connected(remainingMs: () => number | null = () => leaseMs) {
  const clock = new ManualClock();
  const scripted = new ScriptedContainer('c1', 128);
  const pair = createChannelPair();
  const given: Loan[] = [];
  const host = new LinkHost({
    bootId: 'lender',
    clock,
    onSession: () => {
      throw new Error('no client comes here');
    },
    onOther: (channel, first) => {
      expect(readBorrow(first)).toBe('a ticket');
      const loan = new Loan(channel, clock, async () => new Container(scripted, clock));
      given.push(loan);
      return loan;
    },
  });
  host.accept(pair.right);
  return {
    clock,
    scripted,
    pair,
    given,
    opened: BorrowedProcess.open(pair.left, asked, { clock, remainingMs, endedAfter }),
  };
}

async function lent(remainingMs?: () => number | null) {
  const { opened, ...parts } = connected(remainingMs);
  const process = await opened;
  const heard: Buffer[] = [];
  process.channel.open({
    onMessage: (message) => heard.push(Buffer.from(message)),
    onDrain: () => undefined,
    onClosed: () => undefined,
  });
  let exit: ContainerExit | null = null;
  void process.exited.then((how) => {
    exit = how;
  });
  return { ...parts, process, heard, exit: () => exit };
}

/** Each second the lender asks, and is answered. */
async function seconds(clock: ManualClock, count: number): Promise<void> {
  for (let second = 0; second < count; second += 1) {
    clock.advance(1_000);
    await turns(10);
  }
}

describe('a container that another worker lends', () => {
  it('is a process like others: what it and its borrower say passes unread, and its end is told', async () => {
    const { process, scripted, heard, exit } = await lent();
    expect(process.id).toBe('c1');
    scripted.stream.writer.frame(1 as never, 2, 3, Uint8Array.of(9));
    scripted.stream.flushNow();
    await until(() => heard.length === 1);
    expect(heard[0]?.at(-1)).toBe(9);
    scripted.die({ exitCode: 7 });
    await until(() => exit() !== null);
    expect(exit()).toEqual({ exitCode: 7, signal: null, outOfMemory: false });
    expect(await process.settled).toBeNull();
  });

  it('is killed when its borrower says so', async () => {
    const { process, scripted, exit } = await lent();
    process.kill();
    await until(() => exit() !== null);
    expect(scripted.kills).toBe(1);
  });

  it('S7: is killed at the end of the lease of a borrower that answers no more, not before', async () => {
    let mayRun = true;
    const { clock, scripted, given } = await lent(() => (mayRun ? leaseMs : null));
    await seconds(clock, 30);
    expect(scripted.kills).toBe(0);
    mayRun = false;
    await seconds(clock, 9);
    expect(scripted.kills).toBe(0);
    await seconds(clock, 3);
    expect(scripted.kills).toBe(1);
    await given[0]?.ended;
  });

  it('S7: counts what is left of that lease from before it asked', async () => {
    const clock = new ManualClock();
    const scripted = new ScriptedContainer('c1', 128);
    const pair = createChannelPair();
    let isLent = false;
    const asks: Uint8Array[] = [];
    pair.left.open({
      onMessage: (message) => {
        if (message[0] === LoanMessage.ask) asks.push(message);
        else isLent ||= message[0] === LoanMessage.lent;
      },
      onDrain: () => undefined,
      onClosed: () => undefined,
    });
    const loan = new Loan(pair.right, clock, async () => new Container(scripted, clock));
    pair.right.open(loan);
    await until(() => asks.length === 1);
    await turns(10);
    expect(isLent).toBe(false);
    // The answer is five seconds on its way: others were asked for meanwhile.
    await seconds(clock, 5);
    const askedAt = clock.monotonic() - 5_000;
    pair.left.send(loanMessage(LoanMessage.renew, { askedAt, remainingMs: 8_000 }));
    await until(() => isLent);
    await seconds(clock, 2);
    expect(scripted.kills).toBe(0);
    await seconds(clock, 1);
    expect(scripted.kills).toBe(1);
  });

  it('is not lent to a borrower that never says that it may run', async () => {
    const { clock, scripted, opened } = connected(() => null);
    const refusal = opened.catch((error: unknown) => error);
    await seconds(clock, 11);
    expect(await refusal).toMatchObject({ code: 'Unavailable' });
    await until(() => scripted.kills === 1);
  });

  it('P7: ends with the connection, on both sides', async () => {
    const { pair, process, scripted, exit } = await lent();
    pair.cut();
    await until(() => exit() !== null && scripted.kills === 1);
    expect(exit()).toMatchObject({ exitCode: null, why: expect.stringContaining('w2') });
    expect(await process.settled).toBeNull();
    expect(process.channel.send(Uint8Array.of(1))).toBe(true);
  });

  it('P7: is lost to its borrower when its lender falls silent, or does not carry out a kill', async () => {
    for (const isKilled of [false, true]) {
      const clock = new ManualClock();
      const pair = createChannelPair();
      pair.right.open({ onMessage: () => undefined, onDrain: () => undefined, onClosed: () => undefined });
      const opened = BorrowedProcess.open(pair.left, asked, { clock, endedAfter, remainingMs: () => leaseMs });
      pair.right.send(loanMessage(LoanMessage.lent, { containerId: 'c1', hasVolumes: true }));
      const process = await opened;
      if (isKilled) process.kill();
      await seconds(clock, isKilled ? 5 : 10);
      expect(await process.exited).toMatchObject({ why: expect.stringContaining('w2') });
      expect(await process.settled).toContain('may not be committed');
    }
  });

  it('P7: is gone when its lender says so, or when the lender must have killed it', async () => {
    for (const isTold of [true, false]) {
      const clock = new ManualClock();
      const pair = createChannelPair();
      const told: number[] = [];
      pair.right.open({
        onMessage: (message) => message[0] === LoanMessage.renew && told.push(readRenew(message).remainingMs),
        onDrain: () => undefined,
        onClosed: () => undefined,
      });
      const ends: number[] = [];
      const deps = { clock, remainingMs: () => leaseMs, endedAfter: async (at: number) => void ends.push(at) };
      const opened = BorrowedProcess.open(pair.left, asked, deps);
      pair.right.send(loanMessage(LoanMessage.ask, { askedAt: 0 }));
      pair.right.send(loanMessage(LoanMessage.lent, { containerId: 'c1', hasVolumes: false }));
      const process = await opened;
      await until(() => told.length === 1);
      expect(told).toEqual([leaseMs]);
      const gone = { exitCode: 0, signal: null, outOfMemory: false };
      if (isTold) pair.right.send(loanMessage(LoanMessage.gone, gone));
      else pair.cut();
      await process.exited;
      await process.gone;
      expect(ends).toEqual(isTold ? [] : [clock.monotonic() + leaseMs]);
    }
  });

  it('S7: passes nothing on after the lease of its borrower, whatever it finds first when it goes on', async () => {
    const { clock, given, scripted, process } = await lent();
    await seconds(clock, 1);
    clock.jump(leaseMs);
    process.channel.send(Uint8Array.of(1));
    await given[0]?.ended;
    expect(scripted.frames).toEqual([]);
  });

  it('is wanted back where its lender drains', async () => {
    const { given, process } = await lent();
    let isRecalled = false;
    process.onRecall(() => {
      isRecalled = true;
    });
    given[0]?.recall();
    await until(() => isRecalled);
  });

  it('is not lent any more where its lender drains before it is there', async () => {
    const clock = new ManualClock();
    const pair = createChannelPair();
    const opened = BorrowedProcess.open(pair.left, asked, { clock, endedAfter, remainingMs: () => leaseMs });
    const loan = new Loan(pair.right, clock, () => new Promise(() => undefined));
    pair.right.open(loan);
    loan.recall();
    await expect(opened).rejects.toMatchObject({ code: 'NoCapacity' });
  });

  it('is wanted back at once by whoever says so together with the loan, and ends for that reason', async () => {
    const pair = createChannelPair();
    pair.right.open({ onMessage: () => undefined, onDrain: () => undefined, onClosed: () => undefined });
    const clock = new ManualClock();
    const opened = BorrowedProcess.open(pair.left, asked, { clock, endedAfter, remainingMs: () => leaseMs });
    pair.right.send(loanMessage(LoanMessage.lent, { containerId: 'c1', hasVolumes: false }));
    pair.right.send(loanMessage(LoanMessage.recall));
    const process = await opened;
    await turns(10);
    const container = new Container(process, clock);
    process.onRecall(() => container.kill());
    expect(container.isUsable).toBe(false);
    pair.right.send(loanMessage(LoanMessage.gone, { exitCode: null, signal: 'SIGKILL', outOfMemory: false }));
    expect(await process.exited).toMatchObject({ why: expect.stringContaining('wanted it back') });
    expect(() => container.checkAlive()).toThrow(expect.objectContaining({ code: 'NoCapacity' }));
  });

  it('ends with the first message that is none of a loan, whoever sends it', async () => {
    const toLender = await lent();
    toLender.pair.left.send(loanMessage(LoanMessage.lent, { containerId: 'mine', hasVolumes: false }));
    await until(() => toLender.scripted.kills === 1);
    const toBorrower = await lent();
    toBorrower.pair.right.send(Uint8Array.of(LoanMessage.ask, 1, 2, 3));
    await until(() => toBorrower.exit() !== null);
    const malformed = await lent();
    malformed.pair.left.send(loanMessage(LoanMessage.renew, { askedAt: 'now', remainingMs: -1 }));
    await until(() => malformed.scripted.kills === 1);
    const endless = loanMessage(LoanMessage.renew, { askedAt: 0, remainingMs: Number.POSITIVE_INFINITY });
    expect(() => readRenew(endless)).toThrow('the loan is broken');
    for (const read of [readBorrow, readRenew]) expect(() => read(loanMessage(0, {}))).toThrow('the loan is broken');
    expect(readGone(loanMessage(0, { exitCode: 'x' }))).toEqual({ exitCode: null, signal: null, outOfMemory: false });
    expect(readSettled(loanMessage(0, {}))).toBeNull();
  });
});

describe('the ticket of a loan', () => {
  const key = { id: 'k1', secret: new Uint8Array(32).fill(1), createdAtMs: 0 };
  const ticket: LoanTicket = {
    identity: { account: 'default', app: 'demo', className: 'Pool', id: 'p' },
    instanceKey: 'a-key' as InstanceKey,
    epoch: 7,
    deployment: 2,
    borrower: 'b1' as BootId,
    lender: 'b2' as BootId,
    expiresAtMs: 5_000,
  };

  it('is a router’s word, until it expires', () => {
    const text = mintLoanTicket(key, ticket);
    expect(verifyLoanTicket([key], text, 4_999)).toEqual(ticket);
    const refused = expect.objectContaining({ code: 'PermissionDenied' });
    expect(() => verifyLoanTicket([key], text, 5_000)).toThrow(refused);
    expect(() => verifyLoanTicket([{ ...key, secret: new Uint8Array(32) }], text, 0)).toThrow(refused);
    for (const forged of ['', 'x', text.slice(1), `${text}.x`, text.replace('.k1.', '.k2.'), 'a'.repeat(5_000)])
      expect(() => verifyLoanTicket([key], forged, 0)).toThrow(refused);
  });

  /** A lender, asked for a container of this class. */
  function lender(options: object, deps: object) {
    const clock = new ManualClock();
    const { left, right } = createChannelPair();
    const klass = { label: 'demo/Pool@2', options: { tasksPerContainer: 1, exitTimeoutMs: 1_000, ...options } };
    const lending = new Lending({
      ...{ bootId: 'b2' as BootId, clock, keys: () => [key], mayPlace: () => true, isolation: 'process' },
      classes: { load: async () => klass },
      pools: { sandboxes: null },
      ...deps,
    } as unknown as LendingDeps);
    const opened = BorrowedProcess.open(
      left,
      { ...asked, ticket: mintLoanTicket(key, ticket) },
      { clock, remainingMs, endedAfter },
    );
    const host = new LinkHost({
      bootId: 'b2',
      clock,
      onSession: () => {
        throw new Error('no client comes here');
      },
      onOther: (channel, first) => lending.accept(channel, first),
    });
    host.accept(right);
    opened.catch(() => undefined);
    return { clock, lending, opened };
  }
  const remainingMs = () => leaseMs;

  it('gets no container without the walls that an image or volumes need', async () => {
    for (const options of [{ image: 'an-image' }, { volumes: [{}] }, { isolation: 'bubblewrap' }]) {
      const { opened } = lender(options, {});
      await expect(opened).rejects.toMatchObject({
        code: 'NoCapacity',
        message: expect.stringContaining('bubblewrap'),
      });
    }
  });

  it('buys the secrets before a container is started, which can take longer than it is good for', async () => {
    const steps: string[] = [];
    const { opened } = lender(
      {},
      {
        secrets: { of: () => async () => steps.push('secrets'), ofMounts: () => async () => ({}) },
        pools: {
          of: () => ({
            reserve: () => {
              steps.push('reserve');
              return null;
            },
          }),
        },
      },
    );
    await expect(opened).rejects.toMatchObject({ code: 'NoCapacity' });
    expect(steps).toEqual(['secrets', 'reserve']);
  });

  it('P7: keeps no lender from its end, whatever its container still waits for', async () => {
    const { clock, lending, opened } = lender({}, { classes: { load: () => new Promise(() => undefined) } });
    await turns(10);
    let isOver = false;
    const recalled = lending.recall().then(() => {
      isOver = true;
    });
    await expect(opened).rejects.toMatchObject({ code: 'NoCapacity' });
    expect(isOver).toBe(false);
    await seconds(clock, 4);
    await recalled;
  });

  it('is for one boot, and nothing that begins otherwise is a borrower', () => {
    const clock = new ManualClock();
    const { left } = createChannelPair();
    const at = (bootId: string) =>
      new Lending({ bootId: bootId as BootId, clock, keys: () => [key] } as unknown as LendingDeps);
    const first = loanMessage(LoanMessage.borrow, { ticket: mintLoanTicket(key, ticket) });
    expect(() => at('b3').accept(left, first)).toThrow('boot b2 is over');
    expect(at('b2').accept(left, Uint8Array.of(1, 2))).toBeNull();
    expect(() => at('b2').accept(left, loanMessage(LoanMessage.borrow, { ticket: 'none' }))).toThrow('ticket');
  });
});
