/** Variables that send programs to a proxy on this port of loopback. */
export function proxyVariables(port: number): Record<string, string> {
  const http = `http://127.0.0.1:${port}`;
  const values = {
    http_proxy: http,
    https_proxy: http,
    all_proxy: `socks5h://127.0.0.1:${port}`,
    no_proxy: 'localhost,127.0.0.1,::1',
  };
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => [
      [name, value],
      [name.toUpperCase(), value],
    ]),
  );
}
