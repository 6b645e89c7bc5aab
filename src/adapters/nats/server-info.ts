import { connect } from 'nats';
import { connectWithinMs, natsAway } from './nats-bus.js';
import { parseNatsUrl } from './url.js';

/** A NATS server, as it describes itself. */
export interface NatsServerInfo {
  /** The url without credentials. */
  readonly name: string;
  readonly version: string;
  readonly maxPayloadBytes: number;
  readonly asksForCredentials: boolean;
  readonly hasTls: boolean;
}

/** @throws InvalidArgument for the url, Unavailable */
export async function readNatsServer(url: string): Promise<NatsServerInfo> {
  const { shown, ...address } = parseNatsUrl(url);
  const connection = await connect({ ...address, name: 'doctor', timeout: connectWithinMs, reconnect: false }).catch(
    (cause: unknown) => {
      throw natsAway(shown, cause);
    },
  );
  try {
    const info = connection.info;
    return {
      name: shown,
      version: info?.version ?? 'unknown',
      maxPayloadBytes: info?.max_payload ?? 0,
      asksForCredentials: info?.auth_required === true,
      hasTls: info?.tls_required === true,
    };
  } finally {
    await connection.close();
  }
}
