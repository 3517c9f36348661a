// An OpenID Connect provider for the tests. Its one argument is JSON: { port, issuer, tls?: { key, cert } } (PEM).
//
// The token endpoint issues JWT access tokens (RFC 9068) for client_credentials; `resource` is the audience. Its
// parameter `token`, JSON, stands for what an administrator sets up: the `lifetime` in seconds, and `claims` and
// `header` to add, which win, or to leave out where they are null. Under /-/ the tests rotate the keys and count the
// requests.
//
// People log in with any name, and the password is whatever they enter: the name is their `sub`, and their other claims
// are those that /-/account has set, which the UserInfo endpoint returns. /-/client makes the client `gateway` one that
// they log in to. PKCE is required.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import * as http from "node:http";
import * as https from "node:https";
import Provider from "oidc-provider";

const { port, issuer, tls } = JSON.parse(process.argv[2]);
const counts = {};
const accounts = {};
let keys = [];
let login;
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

// as an administrator sets it up for all users
const loadExistingGrant = async (ctx) => {
  const { provider, client, session } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope("openid profile");
  await grant.save();
  return grant;
};

const findAccount = (ctx, sub) => ({
  accountId: sub,
  claims: () => ({ sub, preferred_username: sub, ...accounts[sub] }),
});

const loginClient = () => ({
  client_id: "gateway",
  ...(login.secret ? { client_secret: login.secret } : {}),
  token_endpoint_auth_method: login.method,
  grant_types: ["authorization_code"],
  response_types: ["code"],
  redirect_uris: [`${login.gateway}/sso/callback/`],
  post_logout_redirect_uris: [`${login.gateway}/sso/logged-out/`],
  backchannel_logout_uri: login.backChannel,
  backchannel_logout_session_required: true,
  id_token_signed_response_alg: keys[0].alg,
});

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
      ...(login ? [loginClient()] : []),
    ],
    jwks: { keys },
    claims: { openid: ["sub"], profile: ["preferred_username", "realm_access"] },
    findAccount,
    loadExistingGrant,
    pkce: { required: () => true },
    // its own dispatcher reaches no address of this machine, on which the gateway is, and it gives up after 2.5 s
    fetch: (url, { method, headers, body, redirect }) => globalThis.fetch(url, { method, headers, body, redirect }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: Boolean(login) },
      backchannelLogout: { enabled: true },
      resourceIndicators,
    },
    formats: { customizers: { jwt: customize } },
  });
  for (const event of ["backchannel.error", "grant.error", "authorization.error", "server_error"])
    provider.on(event, (ctx, error) => console.error(event, error));
  handle = provider.callback();
};

const administer = (url) => {
  if (url.pathname === "/-/rotate") {
    const newest = newKey(url.searchParams.get("alg"));
    signWith(url.searchParams.get("withdraw") === "true" ? [newest] : [newest, ...keys]);
  }
  if (url.pathname === "/-/client") {
    login = JSON.parse(url.searchParams.get("client"));
    signWith(keys);
  }
  if (url.pathname === "/-/account") accounts[url.searchParams.get("sub")] = JSON.parse(url.searchParams.get("claims"));
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
