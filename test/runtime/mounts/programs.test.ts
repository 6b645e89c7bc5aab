import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { isolatedTest, pythonTest } from '../../isolated-test.js';
import { MountWorld, run } from './mount-world.js';

const ask = { message: '', onConflict: 'last-writer-wins' } as const;
const modules = fileURLToPath(new URL('../../../node_modules', import.meta.url));

isolatedTest('npm installs packages of hundreds of files on a mount, with its cache there, and they run', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  const mount = await world.mount(volume);
  const packed = ['zod', 'ulid'];
  const pack = packed.map((name) => `tar czhf ${name}.tgz --transform 's,^${name},package,' -C ${modules} ${name}`);
  const env = { npm_config_cache: `${mount.folder}/.npm`, npm_config_update_notifier: 'false', HOME: mount.folder };
  const install = 'npm install --offline --ignore-scripts --no-audit --no-fund --loglevel error';
  await run(
    mount.folder,
    `${pack.join('; ')}; echo '{"private":true}' > package.json
     ${install} ${packed.map((name) => `./${name}.tgz`).join(' ')}`,
    { env },
  );
  const check = `
    find node_modules -type f | wc -l; diff -r node_modules/zod ${modules}/zod; node_modules/.bin/ulid | wc -c
    node --input-type=module -e "import { z } from 'zod'; console.log(z.number().parse(7))"`;
  const said = await run(mount.folder, check);
  const [files = ''] = said.split('\n');
  expect(Number(files)).toBeGreaterThan(500);
  expect(said).toMatch(/\n27\n7\n$/);
  await mount.commit(ask);
  const next = await world.mount(volume);
  expect(await run(next.folder, check)).toBe(said);
  await run(next.folder, `npm ci --offline --ignore-scripts --no-audit --no-fund --loglevel error; ${check}`, {
    env: { ...env, npm_config_cache: `${next.folder}/.npm`, HOME: next.folder },
  });
});

isolatedTest('tar packs and unpacks modes, times, links, holes and long names on a mount', async () => {
  await using world = await MountWorld.start();
  const { folder } = await world.mount(await world.volumes.volume());
  const shown = `find . -printf '%p %y %m %s %T@ %l\\n' | sort; find . -type f -print0 | sort -z | xargs -0 md5sum`;
  const said = await run(
    folder,
    `mkdir -p from/d/$(printf 'n%.0s' $(seq 200)) to; cd from; echo x > d/a; chmod 4751 d/a; ln -s a d/link; ln -s nowhere gone
     truncate -s 50M hole; printf x | dd of=hole bs=1 seek=30000000 conv=notrunc status=none; mkdir -m 1770 empty
     touch -d '1999-01-02 03:04:05.678 UTC' d/a d; tar cSf ../all.tar --format=posix .; tar czf ../all.tgz --format=posix .; cd ../to; tar xpf ../all.tar
     [ "$(stat -c %s ../all.tar)" -lt 1000000 ]; (${shown}) > ../two; cd ../from; (${shown}) > ../one; cd ..
     diff one two; rm -r to; mkdir to; tar xpzf all.tgz -C to; cd to; (${shown}) | diff ../one -; wc -l < ../one`,
  );
  expect(Number(said)).toBeGreaterThan(8);
});

/** Each transaction moves from one row to another; whoever reads the sum sees all of one or nothing. */
const bank = `
import select, sqlite3, sys
journal, rounds = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect('bank.db', timeout=60, isolation_level=None)
assert db.execute('pragma journal_mode=' + journal).fetchone()[0] == journal
db.execute('pragma synchronous=full')
db.execute('create table if not exists a(id integer primary key, n int, pad blob)')
db.execute('insert or ignore into a select value, 100, zeroblob(3000) from (with recursive c(value) as (select 1 union all select value + 1 from c where value < 40) select value from c)')
for i in range(rounds):
    db.execute('begin immediate')
    db.execute('update a set n = n - 1 where id = ?', (1 + i % 40,))
    db.execute('update a set n = n + 1, pad = randomblob(3000) where id = ?', (1 + (i * 7 + 3) % 40,))
    assert db.execute('select sum(n) from a').fetchone()[0] == 4000
    db.execute('commit')
    if i == 5: print('going', flush=True)
    # Who goes on for ever leaves room for others, and ends with whoever has its input.
    if i > 4 and rounds > 1000 and select.select([sys.stdin], [], [], 0.05)[0]: break
assert db.execute('pragma integrity_check').fetchone()[0] == 'ok'
print(journal, db.execute('select sum(n), count(*) from a').fetchone())
`;

pythonTest(
  'SQLite keeps every transaction whole on a mount, with a journal for rollback and with one ahead, by several writers, one killed',
  async () => {
    await using world = await MountWorld.start();
    const volume = await world.volumes.volume();
    const mount = await world.mount(volume);
    for (const journal of ['delete', 'wal']) {
      const said = await run(
        mount.folder,
        `rm -f bank.db*; python3 -c "$BANK" ${journal} 6 >&2
       coproc python3 -c "$BANK" ${journal} 1000000; writer=$COPROC_PID; trap "kill -9 $writer || true" EXIT
       read -r line <&"\${COPROC[0]}"; python3 -c "$BANK" ${journal} 5 >&2
       kill -9 $writer; wait || true; trap - EXIT; ls >&2; python3 -c "$BANK" ${journal} 2`,
        { env: { BANK: bank } },
      );
      expect(said).toBe(`${journal} (4000, 40)\n`);
    }
    await mount.commit(ask);
    const next = await world.mount(volume);
    expect(await run(next.folder, 'python3 -c "$BANK" wal 2', { env: { BANK: bank } })).toBe('wal (4000, 40)\n');
  },
);
