import { type Command, InvalidArgumentError } from 'commander';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, withConnection } from '../options.js';
import { aborted } from '../stop.js';
import { parseSessionReference } from './session-reference.js';

interface Ports {
  readonly port: number;
  readonly localPort: number;
}

/** `holdfast sandbox forward SESSION PORT[:LOCAL]` */
export function registerForward(program: Command, context: CommandContext): void {
  const command = program
    .command('forward')
    .description('reach a port inside a session from this machine, until Ctrl-C')
    .argument('<session>', 'APP/SANDBOX/ID')
    .argument('<port[:local]>', 'inside, and here; default: any free one here', ports);
  withConnection(command).action(async (session: string, given: Ports, options: ConnectionOptions) =>
    forward({ session, ...given }, options, context),
  );
}

async function forward(
  target: Ports & { readonly session: string },
  options: ConnectionOptions,
  context: CommandContext,
): Promise<void> {
  const reference = parseSessionReference(target.session);
  const connection = findConnection(options, context.env);
  const { withSession } = await import('./with-session.js');
  await withSession(connection, { reference, context }, async (session) => {
    const forwarding = await session.forward(target.port, { localPort: target.localPort });
    const { terminal } = context;
    terminal.print(`127.0.0.1:${forwarding.localPort}`);
    terminal.note(`reaches port ${target.port} of ${target.session}; Ctrl-C ends it`);
    await aborted(context.signal);
    await forwarding.close();
  });
}

function ports(text: string): Ports {
  const [port = '', localPort = '0', ...rest] = text.split(':');
  const isPort = (each: string): boolean => /^\d{1,5}$/.test(each) && Number(each) < 65_536;
  if (rest.length > 0 || !isPort(port) || !isPort(localPort))
    throw new InvalidArgumentError('Write PORT or PORT:LOCAL.');
  return { port: Number(port), localPort: Number(localPort) };
}
