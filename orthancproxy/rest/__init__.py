"""The legacy REST API: thin shims over the resolvers."""
