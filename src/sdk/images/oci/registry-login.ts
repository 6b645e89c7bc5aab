import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HoldfastError } from '../../../common/errors.js';
import { dockerFolder } from '../../default-client.js';

/** As a registry, or who gives its tokens, takes it. */
export interface RegistryLogin {
  /** Of an `authorization` header. */
  readonly basic: string;
}

interface DockerConfig {
  readonly auths?: Readonly<Record<string, { readonly auth?: string } | undefined>>;
  readonly credHelpers?: Readonly<Record<string, string | undefined>>;
  readonly credsStore?: string;
}

const helperWithinMs = 30_000;
const longestAnswer = 65_536;
/** Under which name docker keeps its own registry. */
const aliases: Readonly<Record<string, readonly string[]>> = {
  'registry-1.docker.io': ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io'],
};

/**
 * What `docker login` has left on this machine for a registry; null: nothing. Source: Docker's documentation of config.json, and
 * the protocol of docker-credential-helpers.
 *
 * @throws PermissionDenied where a helper has only what is no name and password, InvalidArgument for a file that cannot be read
 */
export async function registryLogin(host: string): Promise<RegistryLogin | null> {
  const config = readConfig();
  const names = [host, ...(aliases[host] ?? []), `https://${host}`, `https://${host}/v1/`, `https://${host}/v2/`];
  for (const name of names) {
    const helper = config.credHelpers?.[name];
    const auth = config.auths?.[name]?.auth;
    if (helper !== undefined) return await fromHelper(helper, name);
    if (auth !== undefined && auth !== '') return { basic: checkedAuth(auth, name) };
  }
  const store = config.credsStore;
  const known = names.find((name) => config.auths?.[name] !== undefined);
  return store === undefined || known === undefined ? null : await fromHelper(store, known);
}

function checkedAuth(auth: string, name: string): string {
  if (typeof auth === 'string' && /^[\w+/=-]+$/.test(auth)) return auth;
  const path = join(dockerFolder(), 'config.json');
  throw new HoldfastError(
    'InvalidArgument',
    `the \`auth\` of ${name} in ${path} is no base64: \`docker login\` writes it anew`,
  );
}

function readConfig(): DockerConfig {
  const path = join(dockerFolder(), 'config.json');
  if (!existsSync(path)) return {};
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) ?? {}) as DockerConfig;
  } catch {
    // Without what a parser quotes of it: there are passwords in it.
    throw new HoldfastError('InvalidArgument', `${path}, which has the logins of registries, cannot be read as JSON`);
  }
}

function loginIn(stdout: string): { readonly Username?: unknown; readonly Secret?: unknown } {
  try {
    return Object(JSON.parse(stdout)) as { readonly Username?: unknown; readonly Secret?: unknown };
  } catch {
    return {}; // no JSON: told by whoever wants it, without what it said, which may be a secret
  }
}

async function fromHelper(helper: string, name: string): Promise<RegistryLogin | null> {
  const program = `docker-credential-${helper}`;
  const stdout = await new Promise<string | null>((resolve, reject) => {
    const limits = { timeout: helperWithinMs, maxBuffer: longestAnswer };
    const child = execFile(program, ['get'], limits, (error, said) => {
      // One that has nothing for it says so and ends with 1; all others are asked for in vain.
      if (error === null) resolve(said);
      else if (error.code === 1) resolve(null);
      else
        reject(new HoldfastError('Unavailable', `${program}, which has the login of ${name}, failed: ${error.code}`));
    });
    child.stdin?.on('error', () => undefined); // it did not read: what it says is what counts
    child.stdin?.end(name);
  });
  if (stdout === null) return null;
  const { Username, Secret } = loginIn(stdout);
  if (typeof Username !== 'string' || typeof Secret !== 'string') {
    throw new HoldfastError(
      'Unavailable',
      `${program}, which has the login of ${name}, gave something else than JSON with a Username and a Secret`,
    );
  }
  if (Username === '<token>') {
    throw new HoldfastError(
      'PermissionDenied',
      `${program} has an identity token for ${name}, which is not supported: log in with a name and a password or access token`,
    );
  }
  return { basic: Buffer.from(`${Username}:${Secret}`).toString('base64') };
}
