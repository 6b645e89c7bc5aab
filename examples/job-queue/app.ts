import { App, currentContext, method } from 'holdfast';

export const app = new App('job-queue', { entry: import.meta.url });

/** A queue by its name: one job at a time, a thousand may wait, each in its place. */
@app.cls({ maxPendingTasks: 1_000, retries: { maxRetries: 3, initialDelayMs: 50 } })
export class Renderer {
  /** May be run again when its process dies: rendering a page twice does no harm. */
  @method({ idempotent: true })
  async render(page: number): Promise<string> {
    const { storage, attempt } = currentContext();
    if (page === 3 && attempt < 3) throw new Error('the printer is busy');
    if (page === 4 && (await storage.get('crashed')) === undefined) {
      await storage.put('crashed', true);
      process.kill(process.pid, 'SIGKILL');
    }
    return `page ${page} of ${currentContext().instanceId}`;
  }

  @method({ idempotent: true })
  async scan(): Promise<never> {
    throw Object.assign(new Error('there is no scanner'), { nonRetryable: true });
  }
}
