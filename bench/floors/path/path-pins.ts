import { Redis } from 'ioredis';

/** The names of one moment in one script, as the product does it. */
const script = `
for i, key in ipairs(KEYS) do
  if redis.call('GET', key) then
    return redis.error_reply('ERR ' .. key .. ' is there')
  end
  redis.call('SET', key, 'active')
end
return 'OK'`;

/** Names in Redis, written where they are not there. */
export class PathPins {
  readonly #redis: Redis;
  readonly #sha: string;

  private constructor(redis: Redis, sha: string) {
    this.#redis = redis;
    this.#sha = sha;
  }

  static async open(url: string): Promise<PathPins> {
    const redis = new Redis(url);
    return new PathPins(redis, String(await redis.script('LOAD', script)));
  }

  /** @throws where one of them is there */
  async make(names: readonly string[]): Promise<void> {
    const keys = names.map((name) => `bench:path:${name}`);
    await this.#redis.evalsha(this.#sha, keys.length, ...keys);
  }
}
