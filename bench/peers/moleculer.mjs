import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceBroker } from 'moleculer';
import { startProgram, untilReady } from './programs.mjs';

/** An action on a remote node, over a NATS server of its own. */
export async function serve(folder) {
  const args = ['--addr', '127.0.0.1', '--port', '-1', '--ports_file_dir', folder];
  const nats = startProgram('nats-server', { file: 'nats-server', args, folder });
  const address = await untilReady(nats, () => {
    const file = readdirSync(folder).find((name) => name.endsWith('.ports'));
    return JSON.parse(readFileSync(join(folder, file ?? 'nats-server.ports'), 'utf8')).nats[0];
  });
  let executed = 0;
  const broker = newBroker('server', address);
  broker.createService({
    name: 'echo',
    actions: {
      async echo({ params }) {
        executed += 1;
        return params.value;
      },
      executed: () => executed,
    },
  });
  await broker.start();
  const processes = [
    [process.pid, 'container'],
    [nats.pid, 'nats'],
  ];
  return { address, processes };
}

export async function connect(address) {
  const broker = newBroker('client', address);
  await broker.start();
  await broker.waitForServices('echo');
  return {
    call: (_name, value) => broker.call('echo.echo', { value }),
    executed: () => broker.call('echo.executed'),
    close: () => broker.stop(),
  };
}

/** Its defaults, less what would only cost: no log, no validation. JSON, its default, is as fast here as its binary codecs. */
function newBroker(nodeID, url) {
  return new ServiceBroker({
    nodeID,
    transporter: { type: 'NATS', options: { url } },
    logger: false,
    validator: false,
  });
}
