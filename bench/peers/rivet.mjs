import { getEnginePath } from '@rivetkit/engine-cli';
import { freePorts, startProgram, untilReady } from './programs.mjs';

// Both of its sides log to the terminal, the client even what it retries.
process.env.RIVET_LOG_LEVEL = 'silent';

/** What the load generator waits for is enough for as many. */
const attempts = 3;

/** An actor in a process of its own, behind Rivet's engine. */
export async function serve(folder) {
  const [port, peerPort, metricsPort] = await freePorts(3);
  const env = {
    RIVET__GUARD__HOST: '127.0.0.1',
    RIVET__GUARD__PORT: `${port}`,
    RIVET__API_PEER__HOST: '127.0.0.1',
    RIVET__API_PEER__PORT: `${peerPort}`,
    RIVET__METRICS__HOST: '127.0.0.1',
    RIVET__METRICS__PORT: `${metricsPort}`,
    RIVET__FILE_SYSTEM__PATH: folder,
    // As its library sets it for an engine that it starts itself.
    RIVET__FEATURES__GUARD_GATEWAY_V3__MODE: 'on',
    RIVET__FEATURES__GUARD_GATEWAY_V3__PERCENTAGE: '100',
  };
  const engine = startProgram('rivet-engine', { file: getEnginePath(), args: ['start'], folder, env });
  const address = `http://127.0.0.1:${port}`;
  await untilReady(engine, async (signal) => {
    const answer = await fetch(`${address}/health`, { signal });
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
  });
  const { actor, setup } = await import('rivetkit');
  const echo = actor({
    createVars: () => ({ executed: 0 }),
    // Idle actors stay in memory, as our instances do; by default they would leave after half a minute.
    options: { sleepTimeout: 3_600_000 },
    actions: {
      echo: (context, value) => {
        context.vars.executed += 1;
        return value;
      },
      executed: (context) => context.vars.executed,
    },
  });
  const registry = setup({ use: { echo }, endpoint: address, startServices: false, noWelcome: true });
  await Promise.race([registry.startAndWait(), engine.ended]);
  const processes = [
    [process.pid, 'container'],
    [engine.pid, 'server'],
  ];
  return { address, processes };
}

/** A connection for the instance that is warm, single actions for names that are new: connections to these timed out. */
export async function connect(address) {
  const { createClient } = await import('rivetkit/client');
  const client = createClient({ endpoint: address });
  const connections = new Map();
  const connectionTo = (name) => {
    const open = connections.get(name) ?? client.echo.getOrCreate([name]).connect();
    connections.set(name, open);
    return open;
  };
  return {
    call: (name, value) => connectionTo(name).echo(value),
    firstCall: (name, value) => callAgain(() => client.echo.getOrCreate([name]).echo(value)),
    executed: (name) => connectionTo(name).executed(),
    close: () => client.dispose(),
  };
}

/** Now and then its engine makes no actor for a while and gives up after 15 s: a user asks again. */
async function callAgain(call) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (attempt === attempts) throw error;
    }
  }
}
