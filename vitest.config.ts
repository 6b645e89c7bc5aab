import { defineConfig } from 'vitest/config';

const dist = `${import.meta.dirname}/dist/`.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

export default defineConfig({
  // Decorators and `await using` in tests are lowered to what Node 20 runs.
  esbuild: { target: 'node20' },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: './test/temporary-disk.ts',
    // A machine that is busy with other things takes ten times as long; what hangs is found all the same.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default', './scripts/summary-reporter.mjs'],
    // `holdfast` and `holdfast/testing` are dist, run by Node as users run them.
    server: { deps: { external: [new RegExp(dist)] } },
  },
});
