import type { DeploymentRecord } from '../../common/manifest.js';
import type { AppStore } from '../../common/ports/store.js';
import type { LmdbKey, LmdbTable, Transactions } from './lmdb-database.js';

const currentKey = (account: string, app: string): LmdbKey => ['current', account, app];
const deploymentKey = (account: string, app: string, version: number): LmdbKey => ['deployment', account, app, version];

/** Deployments by app and version. */
export function createLmdbApps(database: Transactions): AppStore {
  return {
    publish: (deployment) =>
      database.write(`publishing app ${deployment.app}`, (db) => {
        const { account, app } = deployment;
        const published = { ...deployment, version: Number(db.get(currentKey(account, app)) ?? 0) + 1 };
        db.putSync(deploymentKey(account, app, published.version), JSON.stringify(published));
        db.putSync(currentKey(account, app), String(published.version));
        return published;
      }),
    get: (account, app, version) =>
      database.read(`reading app ${app}`, (db) => readDeployment(db, currentOr(db, { account, app, version }))),
    list: (account) =>
      database.read('listing apps', (db) => {
        const current = [...db.getRange({ start: ['current', account], end: ['current', account, '\uffff'] })];
        const deployments = current.map(({ key, value }) =>
          readDeployment(db, deploymentKey(account, String(key[2]), Number(value))),
        );
        return deployments.filter((deployment) => deployment !== null);
      }),
  };
}

function currentOr(
  db: LmdbTable,
  { account, app, version }: { readonly account: string; readonly app: string; readonly version: number | undefined },
): LmdbKey {
  return deploymentKey(account, app, version ?? Number(db.get(currentKey(account, app)) ?? 0));
}

function readDeployment(db: LmdbTable, key: LmdbKey): DeploymentRecord | null {
  const record = db.get(key);
  return record === undefined ? null : (JSON.parse(record) as DeploymentRecord);
}
