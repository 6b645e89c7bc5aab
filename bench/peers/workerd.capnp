using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "echo", worker = .echo)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "echo")],
);

const echo :Workerd.Worker = (
  modules = [(name = "workerd-worker.mjs", esModule = embed "workerd-worker.mjs")],
  compatibilityDate = "2026-11-01",
  # Idle objects stay in memory, as ours do; by default they would leave after ten seconds.
  durableObjectNamespaces = [(className = "Echo", uniqueKey = "echo", preventEviction = true)],
  durableObjectStorage = (inMemory = void),
  bindings = [(name = "ECHO", durableObjectNamespace = "Echo")],
);
