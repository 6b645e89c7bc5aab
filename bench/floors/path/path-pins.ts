import { Redis } from 'ioredis';

type PinState = '' | 'placing' | 'active';

/** The names of one moment in one script, as the product does it. */
const script = `
for i, key in ipairs(KEYS) do
  if (redis.call('GET', key) or '') ~= ARGV[1] then
    return redis.error_reply('ERR ' .. key .. ' is not ' .. ARGV[1])
  end
  redis.call('SET', key, ARGV[2])
end
return 'OK'`;

/** Names in Redis, and what they are: changed by compare-and-set. */
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

  /** @throws where one of them is not `from` */
  async change(names: readonly string[], from: PinState, to: PinState): Promise<void> {
    const keys = names.map((name) => `bench:path:${name}`);
    await this.#redis.evalsha(this.#sha, keys.length, ...keys, from, to);
  }
}
