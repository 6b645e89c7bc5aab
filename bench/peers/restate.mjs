import { once } from 'node:events';
import { createServer } from 'node:http2';
import { createRequire } from 'node:module';
import { openHttpClient } from './http-client.mjs';
import { freePorts, startProgram, untilReady } from './programs.mjs';

/** A handler of a virtual object that may overlap with others of the same key; the exclusive kind is five times slower. */
export async function serve(folder) {
  const servicePort = await listenForCalls();
  const [nodePort, ingressPort, adminPort] = await freePorts(3);
  const args = ['--no-logo', '--listen-mode=tcp', '--base-dir', folder, '--bind-address', `127.0.0.1:${nodePort}`];
  const env = {
    RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingressPort}`,
    RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${adminPort}`,
    RESTATE_DISABLE_TELEMETRY: 'true',
    RESTATE_LOG_FILTER: 'error',
  };
  const server = startProgram('restate-server', { file: serverFile(), args, folder, env });
  await untilReady(server, async (signal) => {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/deployments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ uri: `http://127.0.0.1:${servicePort}` }),
      signal,
    });
    if (!answer.ok) throw new Error(`the service was refused with ${answer.status}: ${await answer.text()}`);
  });
  const processes = [
    [process.pid, 'container'],
    [server.pid, 'server'],
  ];
  return { address: `http://127.0.0.1:${ingressPort}`, processes };
}

export async function connect(address) {
  const client = openHttpClient(address);
  const type = 'application/json';
  return {
    call: async (name, value) =>
      JSON.parse(await client.post(`/Echo/${name}/echo`, { body: JSON.stringify(value), type })),
    executed: async (name) => Number(await client.post(`/Echo/${name}/executed`, { body: '""', type })),
    close: client.close,
  };
}

async function listenForCalls() {
  // Two lines of log for each call would be half of its price.
  process.env.RESTATE_LOGGING = 'ERROR';
  // The one thing of Node 22 that its SDK wants.
  Promise.withResolvers ??= withResolvers;
  const { createEndpointHandler, handlers, object } = await import('@restatedev/restate-sdk');
  let executed = 0;
  const echo = object({
    name: 'Echo',
    handlers: {
      echo: handlers.object.shared(async (_context, value) => {
        executed += 1;
        return value;
      }),
      executed: handlers.object.shared(async () => executed),
    },
  });
  const server = createServer(createEndpointHandler({ services: [echo] })).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

function withResolvers() {
  let settle;
  const promise = new Promise((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...settle };
}

/** The program itself: the package's own starter would stand between it and its pid. */
function serverFile() {
  const require = createRequire(createRequire(import.meta.url).resolve('@restatedev/restate-server/package.json'));
  return require.resolve(`@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`);
}
