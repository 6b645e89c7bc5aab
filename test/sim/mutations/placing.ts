import type { Mutation } from './mutation.js';

/** Guards of leases, pins and placing. */
export const placing: readonly Mutation[] = [
  {
    name: 'a call is admitted without asking the lease',
    keeps: 'S7',
    changes: [
      {
        file: 'src/runtime/calls/client-session.ts',
        from: "instance.refusing === 'moving' || !this.#host.mayAdmit()",
        to: "instance.refusing === 'moving'",
      },
    ],
  },
  {
    name: 'a call that has waited is started without asking the lease',
    keeps: 'S7',
    changes: [
      {
        file: 'src/runtime/instances/instance.ts',
        from: 'return this.#deps.mayRun();',
        to: 'return true;',
      },
    ],
  },
  {
    name: 'answers leave without asking the lease',
    keeps: 'S7',
    changes: [
      { file: 'src/runtime/worker.ts', from: 'beforeFlush: () => lease.mayRun(),', to: 'beforeFlush: () => true,' },
    ],
  },
  {
    name: 'the watchdog does not look at its deadline',
    keeps: 'S7',
    changes: [
      {
        file: 'src/runtime/process/watchdog-process.ts',
        from: 'return this.#start !== null && this.#options.clock.monotonic() > this.#deadline;',
        to: 'return false;',
      },
    ],
  },
  {
    name: 'the watchdog releases the lease before the containers are gone',
    keeps: 'S7, S8',
    changes: [
      {
        file: 'src/runtime/process/watchdog-process.ts',
        from: '  await killUntilGone(watch.guarded, options.clock);\n',
        to: '  await releaseLease(end.start, options);\n  await killUntilGone(watch.guarded, options.clock);\n',
      },
    ],
  },
  {
    name: 'a worker goes on without its watchdog',
    keeps: 'S7',
    changes: [
      {
        file: 'src/runtime/lease-keeper.ts',
        from: "    void watchdog.died.then(() => this.end('watchdog-died'));\n",
        to: '',
      },
    ],
  },
  {
    name: 'a pin changes whatever its epoch is',
    keeps: 'S4',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-pins.ts',
        from: 'return pin.generation === expect.generation && pin.epoch === expect.epoch && pin.state === expect.state;',
        to: 'return pin.state === expect.state;',
      },
    ],
  },
  {
    name: 'a pin changes whatever its state is',
    keeps: 'S4',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-pins.ts',
        from: 'return pin.generation === expect.generation && pin.epoch === expect.epoch && pin.state === expect.state;',
        to: 'return pin.generation === expect.generation && pin.epoch === expect.epoch;',
      },
    ],
  },
  {
    name: 'an activation keeps the epoch of the one before',
    keeps: 'S2',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-pins.ts',
        from: "change.epoch === 'next' ? Math.max((old?.epoch ?? 0) + 1, Math.floor(nowMs * 1_000))",
        to: "change.epoch === 'next' ? (old?.epoch ?? Math.floor(nowMs * 1_000))",
      },
    ],
  },
  {
    name: 'a change that happened is not known by its opId',
    keeps: 'S4',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-pins.ts',
        from: '  if (old?.opId === change.opId) return { applied: true, pin: old };\n',
        to: '',
      },
    ],
  },
  {
    name: 'a place request without an answer goes to another worker',
    keeps: 'S5',
    changes: [
      {
        file: 'src/router/pins/settle.ts',
        from: '        if (!isSame(pinNow, pin)) return { next: pinNow };\n',
        to: `        if (!isSame(pinNow, pin)) return { next: pinNow };
        for (const { workerId, bootId, address } of this.#parts.workers.candidates(pin.identity.account)) {
          if (bootId !== pin.bootId) return { next: { ...pin, workerId, bootId, address } };
        }
`,
      },
    ],
  },
  {
    name: 'a pin that a client was told of is made anew when its worker refuses it',
    keeps: 'S2, S12',
    changes: [
      {
        file: 'src/router/pins/activator.ts',
        from: '  return generation === epoch && !isBrought;',
        to: '  return generation === epoch && isBrought !== null;',
      },
    ],
  },
  {
    name: 'a name that is on its way to its pin is said to be absent',
    keeps: 'S13',
    only: 'granted',
    changes: [
      {
        file: 'src/runtime/instances/activator.ts',
        from: 'arrival?.epoch === epoch || arrival?.epoch === null',
        to: 'arrival?.epoch === epoch',
      },
    ],
  },
  {
    name: 'who cannot be reached is replaced at once',
    keeps: 'S8',
    changes: [
      {
        file: 'src/router/pins/settle.ts',
        from: "    const boot = await this.#look(pin, on.attempt);\n    if (boot.phase === 'over') return this.#lost(pin, on.attempt);\n",
        to: '    const boot = await this.#look(pin, on.attempt);\n    if (isSuspect) return this.#lost(pin, on.attempt);\n',
      },
    ],
  },
  {
    name: 'a silent worker is replaced although its lease stands',
    keeps: 'S8',
    changes: [
      {
        file: 'src/router/pins/settle.ts',
        from: "    if (boot.phase === 'over') return this.#lost(pin, on.attempt);\n    if (boot.phase === 'held') {",
        to: "    if (boot.phase === 'over' || (pin.bootId !== null && !workers.isFresh(pin.bootId)))\n      return this.#lost(pin, on.attempt);\n    if (boot.phase === 'held') {",
      },
    ],
  },
  {
    name: 'nobody waits 1.5 s after the end of a lease',
    keeps: 'S8',
    changes: [
      {
        file: 'src/router/placement/leases.ts',
        from: "return graceMs > 0 ? { phase: 'ending', graceMs } : { phase: 'over' };",
        to: "return graceMs > 1e9 ? { phase: 'ending', graceMs } : { phase: 'over' };",
      },
    ],
  },
  {
    name: 'nobody tells what runs of another version',
    keeps: 'C11',
    only: 'redeploy',
    changes: [
      {
        file: 'src/router/apps/redeploy.ts',
        from: 'pin.deployment < deployment.version && runsSoon(pin)',
        to: 'pin.deployment > deployment.version && runsSoon(pin)',
      },
    ],
  },
];
