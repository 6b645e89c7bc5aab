import { describe, expect, test } from 'vitest';
import { App, alarm, Cls, enter, exit, isHoldfastError, method } from '../../src/sdk/index.js';

const app = new App('decorators');

class Base {
  protected readonly log: string[] = [];

  @enter()
  protected openBase(): void {
    this.log.push('openBase');
  }

  @exit()
  protected closeBase(): void {
    this.log.push('closeBase');
  }

  @method({ tags: ['base'], idempotent: true })
  shared(a: number, ...more: unknown[]): number {
    return a + more.length;
  }

  @method()
  kept(): string {
    return 'base';
  }
}

@app.cls({ tags: ['t'], metadata: { owner: 'me' }, cpu: 2 })
class Derived extends Base {
  readonly #secret = 1;
  readonly prefix: string;

  constructor(prefix = 'hi: ', ...rest: string[]) {
    super();
    this.prefix = prefix + rest.join();
  }

  @enter()
  protected openDerived(): void {
    this.log.push('openDerived');
  }

  @exit()
  protected closeDerived(): void {
    this.log.push('closeDerived');
  }

  @method({ tags: ['derived'] })
  override shared(a: number, { b, c }: { b: number; c: number } = { b: 1, c: 2 }): number {
    return a + b + c + this.#secret;
  }

  @method({ concurrent: true, metadata: { kind: 'stream' } })
  async *tokens(count: number): AsyncGenerator<number> {
    for (let i = 0; i < count; i += 1) yield i;
  }

  @method()
  *plain(): Generator<string> {
    yield this.prefix;
  }

  notCallable(): string {
    return 'no';
  }
}

const cls = Cls.of(Derived);

describe('a decorated class', () => {
  test('has the methods of its base classes, its own options first', () => {
    expect(cls.methodNames).toEqual(['shared', 'kept', 'tokens', 'plain']);
    expect(cls.methodInfo('shared')).toMatchObject({ tags: ['derived'], idempotent: false });
    expect(cls.methodInfo('kept')).toMatchObject({ tags: [], idempotent: false });
    expect(cls.hasMethod('notCallable')).toBe(false);
    expect(cls.hasMethod('toString')).toBe(false);
    expect(() => cls.methodInfo('nope')).toThrow("class 'Derived' has no method 'nope'; it has: shared, kept");
  });

  test('describes parameters by name, default and rest', () => {
    expect(cls.parameters).toEqual([
      { name: 'prefix', optional: true, rest: false },
      { name: 'rest', optional: true, rest: true },
    ]);
    expect(cls.parameterNames).toEqual(['prefix', 'rest']);
    expect(cls.signature).toMatch(/^\(prefix = ["']hi: ["'], \.\.\.rest\)$/);
    expect(cls.methodInfo('shared').parameters).toEqual([
      { name: 'a', optional: false, rest: false },
      { name: 'arg1', optional: true, rest: false },
    ]);
  });

  test('knows its generators', () => {
    expect(cls.methodInfo('tokens')).toMatchObject({ generator: true, concurrent: true, metadata: { kind: 'stream' } });
    expect(cls.methodInfo('plain').generator).toBe(true);
    expect(cls.methodInfo('kept').generator).toBe(false);
  });

  test('enters base first and exits derived first', () => {
    expect(cls.enterHookNames).toEqual(['openBase', 'openDerived']);
    expect(cls.exitHookNames).toEqual(['closeDerived', 'closeBase']);
  });

  test('is known to its handle', () => {
    expect(cls.name).toBe('Derived');
    expect(cls.appName).toBe('decorators');
    expect(cls.localCls).toBe(Derived);
    expect(cls.remoteOnly).toBe(false);
    expect(cls.tags).toEqual(['t']);
    expect(cls.metadata).toEqual({ owner: 'me' });
  });

  test('leaves its base class undecorated', () => {
    expect(() => Cls.of(Base)).toThrow("class 'Base' is not decorated with @app.cls()");
  });

  test('a class without a constructor takes the arguments of its base class, or none', () => {
    class Parent {
      readonly size: number;
      constructor(size: number) {
        this.size = size;
      }
    }
    @app.cls()
    class Child extends Parent {}
    @app.cls({ name: 'Renamed.1' })
    class Bare {}
    expect(Cls.of(Child).parameterNames).toEqual(['size']);
    expect(Cls.of(Bare)).toMatchObject({ name: 'Renamed.1', parameters: [], signature: null });
  });

  test('a hook that a derived class overrides runs once', () => {
    class First {
      @enter()
      open(): void {
        expect.unreachable();
      }
    }
    @app.cls()
    class Overriding extends First {
      @enter()
      override open(): void {
        // Takes the place of the other.
      }
    }
    expect(Cls.of(Overriding).enterHookNames).toEqual(['open']);
  });
});

describe('decoration is refused', () => {
  const refusal = (decorate: () => unknown): string => {
    try {
      decorate();
    } catch (e) {
      if (isHoldfastError(e, 'InvalidArgument')) return e.message;
      throw e;
    }
    throw new Error('nothing was refused');
  };

  test('without parentheses, as JavaScript lets it be written', () => {
    const decorators = { method, enter, exit, alarm } as unknown as Record<
      string,
      (fn: object, context: object) => void
    >;
    for (const [name, decorator] of Object.entries(decorators)) {
      expect(() => decorator(() => 1, { kind: 'method', name: 'm' })).toThrow(
        `@${name} is written with parentheses: @${name}()`,
      );
    }
  });

  test('of static, private and symbol-named methods', () => {
    const statics = refusal(
      () =>
        class {
          readonly instances = 0;
          @method()
          static make(): void {
            expect.unreachable();
          }
        },
    );
    expect(statics).toContain("@method on the static method 'make'");
    const privates = refusal(
      () =>
        class {
          @enter()
          #open(): void {
            expect.unreachable();
          }
          open(): void {
            this.#open();
          }
        },
    );
    expect(privates).toContain("@enter on the private method '#open'");
    const symbols = refusal(
      () =>
        class {
          @exit()
          [Symbol.iterator](): void {
            expect.unreachable();
          }
        },
    );
    expect(symbols).toContain('Symbol(Symbol.iterator)');
  });

  test('of a method that is a hook too', () => {
    expect(
      refusal(
        () =>
          class {
            @method()
            @enter()
            both(): void {
              expect.unreachable();
            }
          },
      ),
    ).toContain("'both'");
  });

  test('twice in an app under one name, and of one class twice', () => {
    @app.cls({ name: 'Taken' })
    class Taken {}
    expect(
      refusal(() => {
        @app.cls({ name: 'Taken' })
        class Other {}
        return Other;
      }),
    ).toContain("app 'decorators' has two classes, functions or sandboxes named 'Taken'");
    expect(Cls.of(Taken).name).toBe('Taken');
  });

  test('with wrong options, naming class and option', () => {
    expect(
      refusal(() => {
        @app.cls({ minContainers: 3 })
        class Pooled {}
        return Pooled;
      }),
    ).toContain("option 'minContainers' of class 'Pooled' must be at most maxContainers (1)");
  });

  test('by the older proposal of decorators', () => {
    const legacy = method() as unknown as (target: object, name: string) => void;
    expect(refusal(() => legacy({}, 'x'))).toContain('experimentalDecorators');
  });

  test('of an app name that cannot be a key', () => {
    expect(refusal(() => new App('a/b'))).toContain('the name of an app must be');
    expect(refusal(() => new App('ok', { entyr: 'x' } as never))).toContain("has no option 'entyr'");
  });

  test('an alarm is no generator: nobody would read its values', () => {
    const define = (): unknown => {
      @app.cls()
      class Ringing {
        @alarm()
        protected async *ring(): AsyncGenerator<number> {
          yield 1;
        }
      }
      return Ringing;
    };
    expect(define).toThrow(/@alarm on 'ring': it is a generator/);
  });
});
