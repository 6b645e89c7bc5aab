import { endianness } from 'node:os';
import { type FilterArch, type SyscallName, syscallNumber } from './syscall-numbers.js';

/**
 * What an isolated process may ask of the kernel, as the classic BPF program that `bwrap --seccomp` takes: a deny list, because
 * its programs are anybody's. It stands behind namespaces and missing capabilities, so it names what those leave open or
 * what is of no use without them: calls that had escapes, that reach past namespaces, or that make new ones.
 */

/** Not permitted, as a program without the capability is told. */
const refused: readonly SyscallName[] = [
  ...(['mount', 'umount2', 'pivot_root', 'chroot', 'setns'] as const),
  ...(['keyctl', 'add_key', 'request_key'] as const),
  ...(['bpf', 'userfaultfd', 'perf_event_open', 'fanotify_init'] as const),
  ...(['kexec_load', 'kexec_file_load', 'reboot', 'swapon', 'swapoff', 'acct', 'vhangup', 'syslog'] as const),
  ...(['init_module', 'finit_module', 'delete_module', 'create_module', 'get_kernel_syms', 'query_module'] as const),
  ...(['settimeofday', 'clock_settime', 'clock_adjtime', 'quotactl', 'quotactl_fd', 'nfsservctl'] as const),
  ...(['open_by_handle_at', 'name_to_handle_at', 'lookup_dcookie', 'iopl', 'ioperm', 'modify_ldt'] as const),
  ...(['uselib', 'sysfs', 'ustat', '_sysctl'] as const),
];

/** As if the kernel were older, so that programs go on with the older call: its flags lie in memory that no filter reads. */
const unknown: readonly SyscallName[] = [
  ...(['clone3', 'io_uring_setup', 'io_uring_enter', 'io_uring_register'] as const),
  ...([
    'fsopen',
    'fsconfig',
    'fsmount',
    'fspick',
    'open_tree',
    'open_tree_attr',
    'move_mount',
    'mount_setattr',
  ] as const),
];

/**
 * What an installer does as root and nobody here may do: other owners, other users, devices. It is told that it was done, as
 * everything of a sandbox belongs to one user anyway, and packages that insist on it can be installed.
 */
const pretended: readonly SyscallName[] = [
  ...(['chown', 'fchown', 'lchown', 'fchownat'] as const),
  ...(['setuid', 'setgid', 'setreuid', 'setregid', 'setresuid', 'setresgid', 'setgroups'] as const),
];
/** S_IFMT, and of it S_IFCHR and S_IFBLK. */
const fileType = 0o17_00_00;
const devices = [0o02_00_00, 0o06_00_00];

/** CLONE_NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}; the first is a signal number in the flags of clone. */
const newNamespaces = 0x7e_02_00_00;
const newTime = 0x80;
/** TIOCSTI and TIOCLINUX type into the terminal of whoever reads it. */
const typingRequests = [0x54_12, 0x54_1c];
const families = { unix: 1, ipv4: 2, ipv6: 10, netlink: 16 };

const arches: Readonly<Record<FilterArch, number>> = { x64: 0xc0_00_00_3e, arm64: 0xc0_00_00_b7 };
/** x32 calls are x86_64 ones with this bit, and would pass by other numbers. */
const x32Bit = 0x40_00_00_00;

const offset = { number: 0, arch: 4, args: 16 };
const argBytes = 8;
const operation = { load: 0x20, jumpEqual: 0x15, jumpAtLeast: 0x35, jumpAnyBit: 0x45, and: 0x54, answer: 0x06 };
const answers = { allow: 0x7f_ff_00_00, killProcess: 0x80_00_00_00, errno: 0x00_05_00_00 };
const errno = { EPERM: 1, ENOSYS: 38, EAFNOSUPPORT: 97 };
const instructionBytes = 8;

interface Instruction {
  readonly code: number;
  readonly value: number;
  /** Instructions to skip. */
  readonly ifTrue: number;
  readonly ifFalse: number;
}

/** Of Node's `process.arch`; null where no filter is written for it. */
export function filterArch(arch: string): FilterArch | null {
  return arch === 'x64' || arch === 'arm64' ? arch : null;
}

/**
 * The program's bytes, in the byte order of this machine.
 *
 * @param isBuilder its programs install packages as the root of the inside, and may chroot
 */
export function seccompFilter(arch: FilterArch, isBuilder = false): Uint8Array {
  const program: Instruction[] = [
    load(offset.arch),
    jump('jumpEqual', arches[arch], { ifFalse: 0, ifTrue: 1 }),
    answer(answers.killProcess),
    load(offset.number),
    ...(arch === 'x64' ? when('jumpAtLeast', x32Bit, [answer(answers.errno | errno.ENOSYS)]) : []),
    ...(isBuilder ? builderRules(arch) : []),
    ...refused.flatMap((name) => onCall(name, arch, [answer(answers.errno | errno.EPERM)])),
    ...unknown.flatMap((name) => onCall(name, arch, [answer(answers.errno | errno.ENOSYS)])),
    ...onCall('clone', arch, withoutBits(0, newNamespaces)),
    ...onCall('unshare', arch, withoutBits(0, newNamespaces | newTime)),
    ...onCall('ioctl', arch, [
      load(argument(1)),
      ...typingRequests.flatMap((request) => when('jumpEqual', request, [answer(answers.errno | errno.EPERM)])),
      answer(answers.allow),
    ]),
    ...onCall('socket', arch, socketRules()),
    ...onCall('socketpair', arch, socketRules()),
    answer(answers.allow),
  ];
  return encode(program);
}

function builderRules(arch: FilterArch): Instruction[] {
  return [
    ...onCall('chroot', arch, [answer(answers.allow)]),
    ...pretended.flatMap((name) => onCall(name, arch, [answer(answers.errno)])),
    ...onCall('mknod', arch, deviceRules(1)),
    ...onCall('mknodat', arch, deviceRules(2)),
  ];
}

function deviceRules(modeAt: number): Instruction[] {
  return [
    load(argument(modeAt)),
    { code: operation.and, value: fileType, ifTrue: 0, ifFalse: 0 },
    ...devices.flatMap((type) => when('jumpEqual', type, [answer(answers.errno)])),
    answer(answers.allow),
  ];
}

/**
 * Sockets of families that namespaces part. vsock reaches the machine below, AF_ALG and the rest are kernel code that nobody
 * here needs; of netlink only routes (protocol 0), which is how programs list their own addresses.
 */
function socketRules(): Instruction[] {
  return [
    load(argument(0)),
    ...[families.unix, families.ipv4, families.ipv6].flatMap((family) =>
      when('jumpEqual', family, [answer(answers.allow)]),
    ),
    ...when('jumpEqual', families.netlink, [
      load(argument(2)),
      ...when('jumpEqual', 0, [answer(answers.allow)]),
      answer(answers.errno | errno.EPERM),
    ]),
    answer(answers.errno | errno.EAFNOSUPPORT),
  ];
}

function withoutBits(index: number, bits: number): Instruction[] {
  return [
    load(argument(index)),
    ...when('jumpAnyBit', bits, [answer(answers.errno | errno.EPERM)]),
    answer(answers.allow),
  ];
}

function onCall(name: SyscallName, arch: FilterArch, then: readonly Instruction[]): Instruction[] {
  const number = syscallNumber(name, arch);
  return number === null ? [] : when('jumpEqual', number, then);
}

function when(
  test: 'jumpEqual' | 'jumpAtLeast' | 'jumpAnyBit',
  value: number,
  then: readonly Instruction[],
): Instruction[] {
  return [jump(test, value, { ifTrue: 0, ifFalse: then.length }), ...then];
}

/** The lower half: all that is looked at is 32 bits wide to the kernel too. */
function argument(index: number): number {
  return offset.args + index * argBytes + (endianness() === 'LE' ? 0 : argBytes / 2);
}

function load(at: number): Instruction {
  return { code: operation.load, value: at, ifTrue: 0, ifFalse: 0 };
}

function jump(
  test: 'jumpEqual' | 'jumpAtLeast' | 'jumpAnyBit',
  value: number,
  skip: { readonly ifTrue: number; readonly ifFalse: number },
): Instruction {
  return { code: operation[test], value, ...skip };
}

function answer(value: number): Instruction {
  return { code: operation.answer, value, ifTrue: 0, ifFalse: 0 };
}

/** struct sock_filter: u16 code, u8 jt, u8 jf, u32 k. */
function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * instructionBytes);
  const view = new DataView(bytes.buffer);
  const isLittle = endianness() === 'LE';
  program.forEach(({ code, value, ifTrue, ifFalse }, index) => {
    const at = index * instructionBytes;
    view.setUint16(at, code, isLittle);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, value >>> 0, isLittle);
  });
  return bytes;
}
