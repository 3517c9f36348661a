// An OpenID Connect provider for the tests. Its one argument is JSON: { port, issuer, tls?: { key, cert } } (PEM).
//
// The token endpoint issues JWT access tokens (RFC 9068) for client_credentials; `resource` is the audience. Its
// parameter `token`, JSON, stands for what an administrator sets up: the `lifetime` in seconds, and `claims` and
// `header` to add, which win, or to leave out where they are null. Under /-/ the tests rotate the keys and count the
// requests.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import * as http from "node:http";
import * as https from "node:https";
import Provider from "oidc-provider";

const { port, issuer, tls } = JSON.parse(process.argv[2]);
const counts = {};
let keys = [];
let handle;

const resourceIndicators = {
  enabled: true,
  getResourceServerInfo: (ctx, resource) => ({
    scope: "",
    audience: resource,
    accessTokenFormat: "jwt",
    accessTokenTTL: 3600,
    jwt: { sign: { alg: keys[0].alg } },
  }),
};

// what is undefined is not in the JSON
const absentWhereNull = (object) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, value ?? undefined]));

const customize = (ctx, token, jwt) => {
  const { lifetime = 86_400, claims = {}, header = {} } = JSON.parse(ctx.oidc.body.token ?? "{}");
  jwt.header = absentWhereNull(header);
  Object.assign(jwt.payload, { exp: jwt.payload.iat + lifetime }, absentWhereNull(claims));
};

const newKey = (alg) => {
  const { privateKey } = alg.startsWith("ES")
    ? generateKeyPairSync("ec", { namedCurve: "P-256" })
    : generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), alg, use: "sig", kid: randomUUID() };
};

// the provider reads its keys once, so other keys are another provider behind the same port
const signWith = (newKeys) => {
  keys = newKeys;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "tests",
        client_secret: "secret",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: keys[0].alg,
      },
    ],
    jwks: { keys },
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false }, resourceIndicators },
    formats: { customizers: { jwt: customize } },
  });
  handle = provider.callback();
};

const administer = (url) => {
  if (url.pathname === "/-/rotate") {
    const newest = newKey(url.searchParams.get("alg"));
    signWith(url.searchParams.get("withdraw") === "true" ? [newest] : [newest, ...keys]);
  }
  return counts;
};

const answer = (request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname.startsWith("/-/")) {
    response.end(JSON.stringify(administer(url)));
    return;
  }
  counts[url.pathname] = (counts[url.pathname] ?? 0) + 1;
  handle(request, response);
};

signWith([newKey("RS256")]);
(tls ? https.createServer(tls, answer) : http.createServer(answer)).listen(port, "127.0.0.1");
