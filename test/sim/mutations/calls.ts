import type { Mutation } from './mutation.js';

/** Guards of calls, hooks and handles. */
export const calls: readonly Mutation[] = [
  {
    name: 'a call for another epoch is admitted',
    keeps: 'C1',
    changes: [
      {
        file: 'src/runtime/calls/bindings.ts',
        from: 'return here?.epoch === binding.epoch ? here : binding;',
        to: 'return here ?? binding;',
      },
      {
        file: 'src/runtime/calls/bindings.ts',
        from: '    if (binding instanceof Instance) return binding;\n',
        to: '    if (binding instanceof Instance) return this.#find(binding.key) ?? binding;\n',
      },
    ],
  },
  {
    name: 'a handle reaches every generation of its id',
    keeps: 'S12',
    changes: [
      {
        file: 'src/router/pins/resolve.ts',
        from: "if (pin === null || pin.state === 'closed' || pin.generation !== generation) {",
        to: "if (pin === null || pin.state === 'closed' || generation < 0) {",
      },
    ],
  },
  {
    name: 'batches that were received are delivered again',
    keeps: 'C7',
    changes: [
      {
        file: 'src/wire/link/link-end.ts',
        from: '    this.#acknowledge(received);\n    this.#channel = channel;\n',
        to: '    this.#acknowledge(Math.min(received, 0));\n    this.#channel = channel;\n',
      },
      { file: 'src/wire/link/link-end.ts', from: ' || number <= this.#received) return;', to: ') return;' },
      {
        file: 'src/wire/link/link-end.ts',
        from: '    if (number !== this.#received + 1) refuse(',
        to: '    if (number > this.#received + 1) refuse(',
      },
    ],
  },
  {
    name: 'a link resumes at a worker that has no session of it',
    keeps: 'C7',
    changes: [
      {
        file: 'src/wire/link/link-host.ts',
        from: '    if (hello.resume) {',
        to: '    if (hello.resume && hello.stream < 0) {',
      },
    ],
  },
  {
    name: 'a link goes on with another boot',
    keeps: 'C7',
    changes: [
      {
        file: 'src/wire/link/link.ts',
        from: 'if (!isFirst && (bootId !== this.#bootId || !resumed)) {',
        to: "if (!isFirst && bootId === '') {",
      },
      {
        file: 'src/wire/link/link-host.ts',
        from: '    if (hello.resume) {',
        to: '    if (hello.resume && hello.stream < 0) {',
      },
    ],
  },
  {
    name: 'what was sent and not answered is sent again',
    keeps: 'C6',
    changes: [
      {
        file: 'src/sdk/sessions/worker-session.ts',
        from: 'for (const call of calls) call.lost(call.batch > lastSentBatch, cause);',
        to: 'for (const call of calls) call.lost(call.batch > lastSentBatch || !isHoldfastError(null), cause);',
      },
    ],
  },
  {
    name: 'calls go to a new place while others are at the old one',
    keeps: 'C2',
    changes: [{ file: 'src/sdk/calls/instance-target.ts', from: '      await this.#quiet(signal);\n', to: '' }],
  },
  {
    name: 'the newest of those that wait has the next turn',
    keeps: 'C1, C2',
    changes: [
      {
        file: 'src/common/mailbox.ts',
        from: 'const next = this.#ahead.first ?? this.#waiting.first;',
        to: 'const next = this.#ahead.first ?? this.#waiting.items().at(-1) ?? null;',
      },
    ],
  },
  {
    name: 'one call more may wait',
    keeps: 'C1',
    changes: [
      {
        file: 'src/common/mailbox.ts',
        from: 'if (this.pending >= this.#limits.maxPendingTasks) return this.#full();',
        to: 'if (this.pending > this.#limits.maxPendingTasks) return this.#full();',
      },
    ],
  },
  {
    name: 'a freed slot is given twice',
    keeps: 'C1',
    changes: [
      {
        file: 'src/common/mailbox.ts',
        from: 'if (this.#running.size < this.#limits.concurrentRequests) {',
        to: 'if (this.#running.size <= this.#limits.concurrentRequests) {',
      },
    ],
  },
  {
    name: 'calls do not wait for enter',
    keeps: 'C3',
    changes: [
      {
        file: 'src/runtime/calls/instance-calls.ts',
        from: "const isReady = phase !== 'activating' && container?.isUsable === true;",
        to: "const isReady = phase !== 'gone' && container?.isUsable === true;",
      },
    ],
  },
  {
    name: 'exit runs beside calls',
    keeps: 'C9, C10',
    changes: [
      {
        file: 'src/runtime/instances/leaving.ts',
        from: '    await this.#finishRunning(instance, places, force ? 0 : Math.min(timeoutMs, exitTimeoutMs));\n',
        to: '    void force;\n    void timeoutMs;\n',
      },
    ],
  },
  {
    name: 'the pin is free before the code has ended',
    keeps: 'C10',
    changes: [
      {
        file: 'src/runtime/instances/leaving.ts',
        from: '    const exit = await this.#end(instance, how);\n',
        to: "    void this.#end(instance, how);\n    const exit: DeactivatedBody = { exitHook: 'ran' };\n",
      },
    ],
  },
  {
    name: 'a failed activation gives its pin back before its code has ended',
    keeps: 'S8, C3',
    changes: [
      {
        file: 'src/runtime/instances/activator.ts',
        from: '      await leaving.giveUp(instance);\n',
        to: '      void leaving.giveUp(instance);\n',
      },
    ],
  },
  {
    name: 'calls that were sent ahead do not count as waiting',
    keeps: 'C1',
    changes: [
      {
        file: 'src/common/mailbox.ts',
        from: 'return this.#waiting.size + this.#ahead.size;',
        to: 'return this.#waiting.size;',
      },
    ],
  },
  {
    name: 'calls are sent ahead while one with a slot has not been started',
    keeps: 'C1',
    changes: [
      {
        file: 'src/runtime/calls/instance-calls.ts',
        from: 'return this.#early.size > 0 ? null : aheadParts(',
        to: 'return this.#early.size < 0 ? null : aheadParts(',
      },
    ],
  },
  {
    name: 'what was sent ahead begins without a slot',
    keeps: 'C1',
    changes: [
      {
        file: 'src/runtime/container/hosted-instance.ts',
        from: 'if (call.isQueued && this.#holders >= this.klass.concurrentRequests) this.#wait(call);',
        to: 'if (call.isQueued && this.#holders > this.klass.concurrentRequests) this.#wait(call);',
      },
    ],
  },
  {
    name: 'what was sent ahead to a container that died moves as if it had not begun',
    keeps: 'C6',
    changes: [
      {
        file: 'src/runtime/calls/instance-calls.ts',
        from: '    this.#answer(call, errors.containerDied(exit, where));\n',
        to: '    if (call.isQueued) call.moved();\n    this.#answer(call, errors.containerDied(exit, where));\n',
      },
    ],
  },
  {
    name: 'a call that is given back has begun',
    keeps: 'C6',
    changes: [
      {
        file: 'src/runtime/container/running-call.ts',
        from: "if (reason === CancelReason.recalled && state.phase !== 'queued') return;",
        to: "if (reason === CancelReason.recalled && state.phase === 'running') return this.#neverBegins(reason);\n    if (reason === CancelReason.recalled && state.phase !== 'queued') return;",
      },
    ],
  },
  {
    name: 'a key is forgotten when its call ends',
    keeps: 'C7',
    changes: [
      {
        file: 'src/runtime/calls/keyed-calls.ts',
        from: 'return this.#underway.get(key) ?? this.#answered.get(key)?.call ?? null;',
        to: 'return this.#underway.get(key) ?? null;',
      },
    ],
  },
];
