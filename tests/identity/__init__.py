"""An OpenID Connect provider of the tests' own, on loopback: npm's oidc-provider."""
