import type { ImageSettings } from '../../common/image.js';

const tools = '/run/holdfast/bin';
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What the agent has, and every command unless it is told otherwise. */
export const sandboxEnv: Readonly<Record<string, string>> = {
  PATH: `${tools}:${path}`,
  HOME: '/root',
  LANG: 'C.UTF-8',
};

/** The same in an image that has variables of its own. */
export function imageEnv({ env }: Pick<ImageSettings, 'env'>): Readonly<Record<string, string>> {
  const { PATH = path } = env;
  return { ...sandboxEnv, ...env, PATH: PATH.split(':').includes(tools) ? PATH : `${tools}:${PATH}` };
}
