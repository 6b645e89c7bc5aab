import { describe, expect, test } from 'vitest';
import { seccompFilter } from '../../../src/runtime/isolation/seccomp-filter.js';
import { type FilterArch, type SyscallName, syscallNumber } from '../../../src/runtime/isolation/syscall-numbers.js';

const auditArch = { x64: 0xc000003e, arm64: 0xc00000b7, ia32: 0x40000003 };
const errnos = { EPERM: 1, ENOSYS: 38, EAFNOSUPPORT: 97 };

interface Call {
  readonly number: number;
  readonly arch: number;
  readonly args: readonly number[];
}

/** Runs classic BPF as the kernel does (Documentation/networking/filter.rst), over struct seccomp_data. */
function runFilter(program: Uint8Array, { number, arch, args }: Call): string {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(arch, 4);
  for (const [index, value] of args.entries()) data.writeBigUInt64LE(BigInt(value), 16 + index * 8);
  const code = Buffer.from(program);
  let accumulator = 0;
  for (let at = 0; ; at += 1) {
    expect(at * 8, 'runs off the end').toBeLessThan(code.length);
    const [ifTrue, ifFalse] = [code.readUInt8(at * 8 + 2), code.readUInt8(at * 8 + 3)];
    const value = code.readUInt32LE(at * 8 + 4);
    switch (code.readUInt16LE(at * 8)) {
      case 0x20:
        accumulator = data.readUInt32LE(value);
        break;
      case 0x15:
        at += accumulator === value ? ifTrue : ifFalse;
        break;
      case 0x35:
        at += accumulator >= value ? ifTrue : ifFalse;
        break;
      case 0x45:
        at += (accumulator & value) !== 0 ? ifTrue : ifFalse;
        break;
      case 0x54:
        accumulator &= value;
        break;
      case 0x06:
        return describeAnswer(value);
      default:
        throw new Error(`instruction ${at} has the unknown code ${code.readUInt16LE(at * 8)}`);
    }
  }
}

function describeAnswer(value: number): string {
  if (value === 0x7fff0000) return 'allow';
  if (value === 0x80000000) return 'kill';
  if (value === 0x00050000) return 'pretend';
  const name = Object.entries(errnos).find(([, number]) => value === 0x00050000 + number)?.[0];
  return name ?? `unknown answer ${value.toString(16)}`;
}

describe.each(['x64', 'arm64'] as const)('the filter for %s', (arch: FilterArch) => {
  const program = seccompFilter(arch);
  const ask = (name: SyscallName, ...args: number[]): string => {
    const number = syscallNumber(name, arch);
    return number === null ? 'absent' : runFilter(program, { number, arch: auditArch[arch], args });
  };

  test('refuses what mounts, loads, traces the kernel or keeps keys', () => {
    const names = ['mount', 'umount2', 'pivot_root', 'setns', 'keyctl', 'add_key', 'request_key', 'bpf'] as const;
    const more = ['userfaultfd', 'perf_event_open', 'kexec_load', 'init_module', 'open_by_handle_at'] as const;
    for (const name of [...names, ...more]) expect([name, ask(name)]).toEqual([name, 'EPERM']);
  });

  test('says of calls with flags in memory that the kernel is older', () => {
    const names = ['clone3', 'io_uring_setup', 'io_uring_enter', 'io_uring_register', 'open_tree', 'fsopen'] as const;
    for (const name of names) expect([name, ask(name)]).toEqual([name, 'ENOSYS']);
  });

  test('lets processes and threads start, but no namespace', () => {
    const thread = 0x3d0f00;
    const fork = 0x01200011;
    expect([ask('clone', thread), ask('clone', fork), ask('unshare', 0x400)]).toEqual(['allow', 'allow', 'allow']);
    for (const bit of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]) {
      expect([bit, ask('clone', fork | bit), ask('unshare', bit)]).toEqual([bit, 'EPERM', 'EPERM']);
    }
    expect(ask('unshare', 0x80)).toBe('EPERM');
  });

  test('refuses to type into a terminal, whatever the upper half of the request is', () => {
    expect([ask('ioctl', 0, 0x5412), ask('ioctl', 0, 0x541c), ask('ioctl', 0, 0x5413)]).toEqual([
      'EPERM',
      'EPERM',
      'allow',
    ]);
    expect(ask('ioctl', 0, 0x5412 + 2 ** 32)).toBe('EPERM');
  });

  test('lets sockets be made that namespaces part, and no others', () => {
    for (const family of [1, 2, 10]) expect(ask('socket', family, 1, 0)).toBe('allow');
    expect([ask('socket', 16, 3, 0), ask('socket', 16, 3, 9)]).toEqual(['allow', 'EPERM']);
    for (const family of [17, 38, 40, 44]) expect(ask('socket', family, 1, 0)).toBe('EAFNOSUPPORT');
    expect(ask('socketpair', 1, 1, 0)).toBe('allow');
  });

  test('allows every other call, and kills who calls in the way of another architecture', () => {
    const spoken = new Set(Array.from({ length: 470 }, (_, number) => number));
    let allowed = 0;
    for (const number of spoken) {
      const answer = runFilter(program, { number, arch: auditArch[arch], args: [] });
      if (answer === 'allow') allowed += 1;
    }
    expect(allowed).toBeGreaterThan(400);
    expect(runFilter(program, { number: 1, arch: auditArch.ia32, args: [] })).toBe('kill');
    expect(runFilter(program, { number: 1, arch: auditArch[arch === 'x64' ? 'arm64' : 'x64'], args: [] })).toBe('kill');
  });
});

test.each(['x64', 'arm64'] as const)(
  'a builder on %s is told that owners, users and devices are as it wants them',
  (arch) => {
    const program = seccompFilter(arch, true);
    const ask = (name: SyscallName, ...args: number[]): string => {
      const number = syscallNumber(name, arch);
      return number === null ? 'pretend' : runFilter(program, { number, arch: auditArch[arch], args });
    };
    for (const name of ['chown', 'fchown', 'lchown', 'fchownat', 'setuid', 'setresgid', 'setgroups'] as const)
      expect([name, ask(name)]).toEqual([name, 'pretend']);
    expect([ask('mknodat', 0, 0, 0o060644), ask('mknodat', 0, 0, 0o020666)]).toEqual(['pretend', 'pretend']);
    expect([ask('mknodat', 0, 0, 0o010644), ask('mknodat', 0, 0, 0o100644), ask('chroot')]).toEqual([
      'allow',
      'allow',
      'allow',
    ]);
    for (const name of ['mount', 'umount2', 'pivot_root', 'setns', 'bpf', 'keyctl'] as const)
      expect([name, ask(name)]).toEqual([name, 'EPERM']);
    expect([ask('unshare', 0x10000000), ask('clone', 0x10000000), ask('clone3')]).toEqual(['EPERM', 'EPERM', 'ENOSYS']);
  },
);

test('calls of x32, which are other numbers for the same, are unknown', () => {
  const mount = 0x40000000 + 165;
  expect(runFilter(seccompFilter('x64'), { number: mount, arch: auditArch.x64, args: [] })).toBe('ENOSYS');
});
