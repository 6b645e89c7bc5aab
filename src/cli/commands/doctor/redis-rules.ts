import type { RedisServerInfo } from '../../../adapters/redis/server-info.js';
import type { Rule } from './finding.js';

const testedMajor = 7;
const clocksApartMs = 1_000;
const fullShare = 0.8;
const mostLagSeconds = 2;

/** What docs/operations.md asks of a Redis; the order is that of the report. */
export const redisRules: readonly Rule<RedisServerInfo>[] = [
  {
    level: 'problem',
    breach: ({ info }) => (info.get('role') === 'slave' ? 'is a replica: it takes no changes' : null),
    next: 'give the url of the master, or redis+sentinel:// of all',
  },
  {
    level: 'problem',
    breach: ({ clusterState }) =>
      clusterState === null || clusterState === 'ok' ? null : `the cluster is ${clusterState}: some keys have no owner`,
    next: '`redis-cli --cluster check` shows which',
  },
  {
    level: 'problem',
    breach: ({ info }) =>
      info.get('maxmemory_policy') === 'noeviction'
        ? null
        : `maxmemory-policy is ${info.get('maxmemory_policy')}: pins and leases can vanish, and an instance run twice`,
    next: 'set maxmemory-policy noeviction',
  },
  {
    level: 'problem',
    breach: ({ info }) => {
      const [used, most] = [Number(info.get('used_memory')), Number(info.get('maxmemory'))];
      if (!(most > 0) || used < most * fullShare) return null;
      return `${Math.round((used / most) * 100)} % of maxmemory is used: when it is full, nothing can be placed`;
    },
    next: 'raise maxmemory, or close instances that are over (`holdfast ps`)',
  },
  {
    level: 'problem',
    breach: ({ info }) =>
      info.get('aof_enabled') === '0' ? 'appendonly is no: a restart forgets pins and durable state' : null,
    next: 'set appendonly yes',
  },
  {
    level: 'problem',
    breach: ({ info }) =>
      info.get('aof_enabled') === '1' && info.get('aof_last_write_status') !== 'ok'
        ? 'the append-only file was not written: is the disk full?'
        : null,
    next: "look at the server's log",
  },
  {
    level: 'problem',
    breach: ({ info, config }) =>
      info.get('aof_enabled') === '1' && config?.appendfsync === 'no'
        ? 'appendfsync is no: half a minute of changes can be lost with the host'
        : null,
    next: 'set appendfsync everysec, or always',
  },
  {
    level: 'warning',
    breach: ({ info }) =>
      Number(info.get('connected_slaves') ?? 0) > 0 ? null : 'has no replica: while it is away nothing is placed',
    next: 'add a replica, with Sentinel or Cluster, and min-replicas-to-write 1',
  },
  {
    level: 'warning',
    breach: ({ info }) =>
      Number(info.get('connected_slaves') ?? 0) > 0 && !info.has('min_slaves_good_slaves')
        ? 'min-replicas-to-write is 0: a master that is cut off goes on taking changes that are lost'
        : null,
    next: 'set min-replicas-to-write 1 and min-replicas-max-lag 2',
  },
  {
    level: 'warning',
    breach: ({ info, config }) =>
      info.has('min_slaves_good_slaves') && config !== null && Number(config.maxLag) > mostLagSeconds
        ? `min-replicas-max-lag is ${config.maxLag}: so many seconds a master that is cut off takes changes that are lost`
        : null,
    next: `set min-replicas-max-lag ${mostLagSeconds}`,
  },
  {
    level: 'warning',
    breach: ({ config }) =>
      config !== null && config.save !== '' ? `save is '${config.save}': copies of all data, and their pauses` : null,
    next: "set save ''; the append-only file is enough",
  },
  {
    level: 'warning',
    breach: ({ clockAheadMs }) =>
      Math.abs(clockAheadMs) > clocksApartMs
        ? `its clock is ${Math.abs(clockAheadMs)} ms ${clockAheadMs > 0 ? 'ahead of' : 'behind'} this machine`
        : null,
    next: 'synchronize the clocks (NTP): expiry of tokens and alarms go by them',
  },
  {
    level: 'warning',
    breach: ({ info }) => {
      const version = info.get('redis_version') ?? '';
      return Number.parseInt(version, 10) >= testedMajor
        ? null
        : `is version ${version}; ${testedMajor} is what is tested`;
    },
    next: `upgrade to version ${testedMajor}`,
  },
];
