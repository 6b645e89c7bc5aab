import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const files = {
  pinChanges: 'pin-changes.lua',
  pinAttest: 'pin-attest.lua',
  indexRemove: 'index-remove.lua',
  stateCommit: 'state-commit.lua',
  stateGet: 'state-get.lua',
  stateList: 'state-list.lua',
  alarmExpect: 'alarm-expect.lua',
  alarmClaim: 'alarm-claim.lua',
  alarmLookAgain: 'alarm-look-again.lua',
  alarmEnded: 'alarm-ended.lua',
  callsAdopt: 'calls-adopt.lua',
  callsRead: 'calls-read.lua',
  callsCommit: 'calls-commit.lua',
  callsAbandon: 'calls-abandon.lua',
  leaseCreate: 'lease-create.lua',
  leaseRenew: 'lease-renew.lua',
  leaseRead: 'lease-read.lua',
  appPublish: 'app-publish.lua',
  appGet: 'app-get.lua',
  signingKeys: 'signing-keys.lua',
  secretPut: 'secret-put.lua',
  volumeCreate: 'volume-create.lua',
  volumeFind: 'volume-find.lua',
  volumeDelete: 'volume-delete.lua',
  volumeExtend: 'volume-extend.lua',
  volumeBind: 'volume-bind.lua',
  volumeLapsed: 'volume-lapsed.lua',
  volumePublish: 'volume-publish.lua',
  volumeForgetBefore: 'volume-forget-before.lua',
  holdTake: 'hold-take.lua',
  holdAlso: 'hold-also.lua',
  holdRenew: 'hold-renew.lua',
  holdRelease: 'hold-release.lua',
  holdReserve: 'hold-reserve.lua',
  sweepBegin: 'sweep-begin.lua',
  sweepRenew: 'sweep-renew.lua',
  sweepCondemn: 'sweep-condemn.lua',
  sweepEnd: 'sweep-end.lua',
  liveCommit: 'live-commit.lua',
  liveList: 'live-list.lua',
} as const;

export type ScriptName = keyof typeof files;

/** Those that ask whether the server is in quarantine, or see to it that it begins. */
const withQuarantine: ReadonlySet<string> = new Set([
  files.pinChanges,
  files.leaseCreate,
  files.leaseRenew,
  files.leaseRead,
]);

export interface Script {
  readonly lua: string;
  /** SHA-1, by which the server knows it. */
  readonly sha: string;
}

/** Reads the scripts that lie beside this file, in src as in dist. */
export function loadScripts(): Readonly<Record<ScriptName, Script>> {
  const read = (file: string) => readFileSync(new URL(`./lua/${file}`, import.meta.url), 'utf8');
  const load = (file: string): Script => {
    const lua = withQuarantine.has(file) ? read('quarantine.lua') + read(file) : read(file);
    return { lua, sha: createHash('sha1').update(lua).digest('hex') };
  };
  const entries = Object.entries(files).map(([name, file]) => [name, load(file)] as const);
  return Object.fromEntries(entries) as Record<ScriptName, Script>;
}
