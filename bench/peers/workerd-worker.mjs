import { DurableObject } from 'cloudflare:workers';

export class Echo extends DurableObject {
  #executed = 0;

  async echo(value) {
    this.#executed += 1;
    return value;
  }

  executed() {
    return this.#executed;
  }
}

/** HTTP in, a method of a named object inside. */
export default {
  async fetch(request, env) {
    const [name, question] = request.url.slice(request.url.indexOf('/', 'http://'.length) + 1).split('?');
    const object = env.ECHO.get(env.ECHO.idFromName(name));
    const answer = question === 'executed' ? await object.executed() : await object.echo(await request.text());
    return new Response(answer);
  },
};
