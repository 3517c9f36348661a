// Tests run in Node, of which version 20 has no `navigator`: what modules read of the browser when they are loaded.
const browser = {
  navigator: { languages: ['en-US'] },
  document: { cookie: '', documentElement: {}, getElementById: () => null },
  location: { href: 'http://gateway.example/', pathname: '/', search: '' },
};
for (const [name, value] of Object.entries(browser)) {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}
